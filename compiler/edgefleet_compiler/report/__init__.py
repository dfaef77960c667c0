"""The report: ``report.json`` for programs, ``report.html`` and a table on the terminal for people."""
