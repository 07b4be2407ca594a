"""Importing the package, and asking the command line for help, loads nothing heavy."""

import json
import subprocess
import sys

import pytest

HEAVY = ("torch", "sklearn", "matplotlib", "scipy.stats", "pandas", "statsmodels", "transformers")
CODE = """
import json, sys
{action}
print("loaded:" + json.dumps([name for name in {heavy!r} if name in sys.modules]))
"""
HELP = """
sys.argv = ["controls", "--help"]
from controls.__main__ import main
try:
    main()
except SystemExit as ended:
    assert not ended.code, ended.code
"""


@pytest.mark.parametrize(
    ("action", "allowed"),
    [
        ("import controls", ()),
        ("import controls as ct; ct.ShuffleLabels(); ct.Problem([[1.0], [2.0]], [0, 1]); dir(ct)", ()),
        (
            "import controls as ct; ct.probes.LogisticProbe(); ct.metrics; ct.testing",
            ("sklearn", "pandas", "scipy.stats"),
        ),
        (HELP, ()),
        ("import controls; import sklearn", ("sklearn", "scipy.stats", "pandas")),
    ],
    ids=["import", "words", "parts", "help", "the probe of this test"],
)
def test_nothing_heavy_is_loaded(action, allowed):
    done = subprocess.run(
        [sys.executable, "-c", CODE.format(action=action, heavy=HEAVY)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    loaded = json.loads(done.stdout.rsplit("loaded:", 1)[1])
    assert set(loaded) <= set(allowed)
    if "import sklearn" in action:
        assert "sklearn" in loaded  # the test can see what is loaded
