"""What the tests of this folder share: the packages of package.json, installed once."""

import os
import shutil
import subprocess
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))


@pytest.fixture(scope="session")
def installed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sdk")
    for name in os.listdir(HERE):
        if name.endswith((".json", ".mjs")):
            shutil.copy(os.path.join(HERE, name), folder)
    subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--silent"], cwd=folder, check=True)
    python = folder / "python"
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--target", str(python),
                    "standardwebhooks==1.1.0"], check=True)
    sys.path.insert(0, str(python))
    yield folder
    sys.path.remove(str(python))
