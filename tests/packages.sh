#!/usr/bin/env bash
# Installs the named Debian packages that are missing, without starting the services they bring.
# usage: packages.sh NAME...      does nothing, and asks nobody for rights, where all stand already
set -euo pipefail

missing=()
for name in "$@"; do
  state=$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null || true)
  [ "$state" = installed ] || missing+=("$name")
done
[ "${#missing[@]}" -gt 0 ] || exit 0

root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || { echo "packages.sh: needs root or sudo to install: ${missing[*]}" >&2; exit 1; }
  root=(sudo -n)
fi

# invoke-rc.d asks this file before it starts a service; 101 means no. Ours goes away again, another's stays.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  trap '"${root[@]}" rm -f "$policy"' EXIT
  printf '#!/bin/sh\nexit 101\n' | "${root[@]}" tee "$policy" >/dev/null
  "${root[@]}" chmod 755 "$policy"
fi

echo "packages.sh: installing ${missing[*]}" >&2
install() {
  "${root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends "${missing[@]}" </dev/null >/dev/null
}
# The lists of a fresh machine are empty or old: fetch them and try once more only if the first try fails.
install 2>/dev/null || { "${root[@]}" apt-get update -qq </dev/null; install; }
