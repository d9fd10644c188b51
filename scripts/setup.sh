#!/bin/sh
# Installs what the scripts need on a fresh clone. Runs on whatever Node the machine has; the scripts then run on ours.
set -eu
cd "$(dirname "$0")/.."
stamp=node_modules/.trapeze-setup
if [ ! -f "$stamp" ] || ! cmp -s package-lock.json "$stamp"; then
  echo "trapeze: installing npm packages (once)" >&2
  npm ci --no-audit --no-fund --loglevel=error >&2
  # The package `node` brings its executable by an install script, which a user's npm may be set to skip.
  if ! node_modules/.bin/node --version >/dev/null 2>&1; then
    npm rebuild node --ignore-scripts=false --loglevel=error >&2
  fi
  cp package-lock.json "$stamp"
fi
