"""Hostile files on the machine that compiles; a representative of each kind, for there are many such tests."""

from __future__ import annotations

from attack.defence import Defence, answering, value

_TFLITE = "tests/unit/test_compiler_tflite_reader.py"
_ONNX = "tests/unit/test_compiler_onnx_import.py"
_KERAS = "tests/unit/test_compiler_keras_inspection.py"
_KERAS_FILES = "tests/integration/test_compiler_keras_sources.py"
_CERTIFICATE = "tests/unit/test_compiler_certificate.py"

ROWS = (
    Defence(
        "a small model file that asks for gigabytes",
        "sizes are added up before anything is allocated; a file may not name one part over and over",
        (
            f"{_TFLITE}::test_a_tiny_file_that_asks_for_gigabytes_is_refused",
            f"{_TFLITE}::test_a_file_that_names_one_vector_a_million_times_is_refused_in_little_memory",
            f"{_KERAS_FILES}::test_a_small_file_that_asks_for_all_memory_is_refused",
        ),
        {"edgefleet_compiler.tflite.tensors._ACTIVATION_BYTES": value(1 << 62)},
    ),
    Defence(
        "a model that brings code (pickle, Lambda, custom layers)",
        "pickles are refused unread; Keras files are inspected, then read in an isolated child",
        (
            f"{_KERAS}::test_code_is_found_however_deep_it_lies",
            f"{_KERAS}::test_layers_that_bring_code_or_read_files_are_refused_by_name",
            f"{_KERAS}::test_an_hdf5_file_that_reaches_beyond_itself_is_refused",
            f"{_KERAS_FILES}::test_a_lambda_is_refused_by_name_and_its_code_never_runs",
            f"{_KERAS_FILES}::test_a_saved_model_that_reads_files_is_refused",
            "tests/integration/test_compiler_bad_input.py::test_a_pickle_is_refused_unread",
            "tests/unit/test_compiler_data_npz.py::test_a_pickle_in_a_data_file_is_not_unpickled",
        ),
        {"edgefleet_compiler.importers.tensorflow.child.configuration._objects": answering(())},
    ),
    Defence(
        "an ONNX file that reads other files as its weights (.., absolute paths, links)",
        "external data lies beside the model, as a file; bundles carry none",
        (
            f"{_ONNX}::test_external_data_elsewhere_is_refused",
            f"{_ONNX}::test_external_data_behind_a_link_is_refused",
        ),
        {
            "edgefleet_compiler.importers.onnx_external._resolve": lambda _: (
                lambda location, _name, folder: folder / location
            )
        },
    ),
    Defence(
        "names in a model that write into the report's page",
        "every text of a page and of a picture is escaped; pages have no scripts",
        (
            "tests/unit/test_compiler_report_pictures.py::test_names_in_pictures_are_escaped",
            "tests/unit/test_compiler_report_forms.py::test_names_of_a_model_cannot_write_into_the_page",
        ),
        {"edgefleet_compiler.report.pictures.svg.escape": lambda _: str},
    ),
    Defence(
        "a forged certificate of lossless pruning",
        "the reader makes the artifact again from the source, and believes no claim",
        (
            f"{_CERTIFICATE}::test_an_artifact_with_another_digest_to_match_is_refused",
            f"{_CERTIFICATE}::test_a_tampered_certificate_is_refused",
            "tests/integration/test_compiler_lossless_cli.py::test_a_forged_certificate_is_exit_4_and_changes_nothing",
        ),
        {
            "edgefleet_compiler.lossless.verify._refuse": answering(),
            "edgefleet_compiler.lossless.verify._rewritten": answering(b""),
        },
    ),
)
