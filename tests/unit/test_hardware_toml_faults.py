"""Faults of TOML files are told in plain words, with the key that is at fault."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from edgefleet_compiler.options import CompileOptions
from edgefleet_compiler.recipe.file import read_recipe
from edgefleet_contract.errors import ProfileMalformed, RecipeMalformed
from edgefleet_hardware.profile import parse_profile
from edgefleet_hardware.toml_faults import plain_fault

KEYS = 'scheme = "int8"\nformat = "tflite"\nio = "float"\nio-layout = "source"\nseed = 0\n'


def refused(tmp_path: Path, text: str) -> RecipeMalformed:
    path = tmp_path / "recipe.toml"
    path.write_text(text)
    with pytest.raises(RecipeMalformed) as caught:
        read_recipe(path, CompileOptions(Path("m.onnx"), ("rpi4",), Path("out")))
    assert caught.value.exit_status == 2
    return caught.value


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('scheme = "int8"\n', "the key 'format' is missing"),
        (KEYS.replace('"tflite"', '"hlo"'), "'hlo' is none of c, onnx, tflite (in 'format')"),
        (KEYS.replace("0", '"a"'), "a whole number is expected, and it is a text (in 'seed')"),
        (KEYS + "[quantise]\nround = 1\n", "the key 'round' is unknown (in 'quantise')"),
        (KEYS + "quantise = 3\n", "a table is expected, and it is a whole number (in 'quantise')"),
        (KEYS + "[quantise]\n[quantise.ranges]\na = 'mse'\n'b.c' = 1\nd = 2\n", "\"quantise.ranges['b.c']\""),
        (
            KEYS + "[quantise.layers.first]\ncompute = 'float'\n[quantise.layers.'b/c']\ncompute = 'int9'\n",
            "'int9' is none of float, int16, int8 (in \"quantise.layers['b/c'].compute\")",
        ),
        ('scheme = "auto"\nrungs = ["int8", "int9"]\n', "(in 'rungs[1]')"),
        ('scheme = "auto"\nrungs = []\n', "the list 'rungs' is empty"),
    ],
)
def test_a_recipe_is_refused_in_the_words_of_its_file(tmp_path: Path, text: str, words: str) -> None:
    refusal = refused(tmp_path, text)
    assert words in refusal.seen
    for jargon in ("Object", "enum", "[...]", "`"):
        assert jargon not in refusal.seen


def test_every_key_that_a_recipe_must_have_is_told_at_once(tmp_path: Path) -> None:
    expected = refused(tmp_path, "").expected
    for key in ("scheme (", "format (c | onnx | tflite)", "io (", "io-layout (", "seed (a whole number)"):
        assert key in expected


def test_a_profile_is_refused_in_the_words_of_its_file() -> None:
    with pytest.raises(ProfileMalformed, match="the key 'name' is missing"):
        parse_profile(b"", where="mine.toml")


def test_what_is_no_toml_is_told_as_the_parser_says_it() -> None:
    with pytest.raises(tomllib.TOMLDecodeError) as caught:
        tomllib.loads("a = ")
    assert plain_fault(caught.value) == str(caught.value)
