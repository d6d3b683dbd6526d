"""What the project says about itself is in step with what it holds."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from omnipatch.core.cli_verbs import VERBS
from omnipatch.core.settings import shipped_recipes
from omnipatch.recipes.catalogue import catalogue, header
from omnipatch.recipes.options import options_page

ROOT = Path(__file__).resolve().parents[1]


def test_the_catalogue_of_recipes_is_in_step():
    assert (ROOT / "recipes/README.md").read_text() == catalogue(ROOT / "recipes"), "run `make catalogue`"


def test_the_page_of_options_is_in_step():
    assert (ROOT / "docs/options.md").read_text() == options_page(), "run `make catalogue`"


@pytest.mark.parametrize("name", sorted(shipped_recipes()))
def test_a_recipe_opens_with_what_a_reader_needs(name):
    said, pairs = header(shipped_recipes()[name])
    assert said.endswith(".")
    assert {"Question", "Data", "Command", "Variant", "Paper"} <= set(pairs)
    assert pairs["Command"].startswith(f"omnipatch run {name}")
    assert "https://" in pairs["Paper"]


@pytest.mark.parametrize("name", sorted(shipped_recipes()))
def test_the_variant_of_a_recipe_is_a_valid_command(name):
    from cli_kit import omni

    command = header(shipped_recipes()[name])[1]["Variant"].partition("  ")[0]
    done = omni(*command.removeprefix("omnipatch ").split(), "--print-config")
    assert done.code == 0, done.err


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_ci_takes_its_commands_from_the_readme():
    done = subprocess.run(["bash", ROOT / ".ci/run", "--print"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for line in done.stdout.splitlines():
        assert line in (ROOT / "README.md").read_text()
    assert "omnipatch run ecg-jepa --out runs/demo" in done.stdout
    assert done.stdout.rstrip().endswith("pytest")


def test_commands_of_the_readme_name_real_verbs_and_options():
    text = (ROOT / "README.md").read_text()
    commands = re.findall(r"^omnipatch (\S+)(.*)$", text, flags=re.M)
    assert commands
    for verb, rest in commands:
        assert verb in VERBS, verb
        flags = {flag for names, _ in VERBS[verb].arguments for flag in names}
        for option in re.findall(r"(--[\w-]+)(?=\s|$)", rest.partition("#")[0]):
            assert option in flags, f"omnipatch {verb} {option}"


def test_contributing_fits_a_page():
    assert len((ROOT / "CONTRIBUTING.md").read_text().splitlines()) < 60
