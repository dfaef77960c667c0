"""Bundles and blocks on their way."""

from attack.defence import Defence, answering

_BUNDLE = "tests/unit/test_contract_bundle.py"

ROWS = (
    Defence(
        "a path in a bundle leaves its folder",
        "the manifest's paths are checked before anything is written",
        (f"{_BUNDLE}::test_a_path_that_leaves_the_folder_is_refused",),
        {"edgefleet_contract.manifest.is_safe_path": answering(True)},
    ),
)
