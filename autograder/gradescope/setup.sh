#!/usr/bin/env bash
# Gradescope runs this once, as root, when it builds the container.
set -euo pipefail

apt-get update
apt-get install -y bubblewrap python3 python3-venv

python3 -c "import sys; sys.exit(sys.version_info < (3, 10) and 'Python 3.10 or newer is needed: choose a newer image')"
python3 -m venv /autograder/environment
pip="/autograder/environment/bin/python -m pip install --quiet --disable-pip-version-check"
# Just the packages that were looked at when the zip was made, whatever has been published since.
$pip --require-hashes --requirement /autograder/source/autograder/gradescope/requirements.txt
$pip --no-deps --no-build-isolation --editable /autograder/source

# What students' code is not to see where the container allows no sandbox: all but coursekit and the probes.
cd /autograder/source
chmod -R go-rwx autograder code_analyze reference_solution tests course.toml
chmod go+rx autograder
chmod go+r autograder/__init__.py
chmod -R go+rX autograder/probe coursekit
install --directory --mode=700 /autograder/compiled
