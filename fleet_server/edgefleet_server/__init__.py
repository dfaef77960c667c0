"""The fleet server: enrols devices, stores releases, rolls them out in stages and watches the fleet."""
