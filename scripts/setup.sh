#!/bin/sh
# Installs what the scripts need on a fresh clone. Runs on whatever Node the machine has; the scripts then run on ours.
set -eu
cd "$(dirname "$0")/.."
stamp=node_modules/.trapeze-setup
if [ ! -f "$stamp" ] || ! cmp -s package-lock.json "$stamp"; then
  echo "trapeze: installing npm packages (once)" >&2
  npm ci --no-audit --no-fund --loglevel=error >&2
  cp package-lock.json "$stamp"
fi
