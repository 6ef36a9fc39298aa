#!/usr/bin/env bash
# A real vCenter simulator (vcsim) and its client (govc), built from Debian's source package with Debian's Go.
# usage: vcsim.sh DIR      leaves DIR/bin/vcsim and DIR/bin/govc; does nothing where both stand already
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
dir=${1:?usage: vcsim.sh DIR}
[ -x "$dir/bin/vcsim" ] && [ -x "$dir/bin/govc" ] && exit 0

"$here/packages.sh" golang-go dpkg-dev debian-archive-keyring golang-github-google-uuid-dev \
  golang-github-kr-pretty-dev golang-github-davecgh-go-xdr-dev golang-github-vmware-vmw-guestinfo-dev
mkdir -p "$dir/lists/partial" "$dir/cache/archives/partial" "$dir/parts" "$dir/gopath/src/github.com/vmware" "$dir/bin"
cd "$dir"
dir=$PWD

# The source package comes from whichever mirror this machine already uses for its binary packages: apt lists each
# as "PRIORITY URI SUITE/COMPONENT ..." followed by a line with the label of its release.
# shellcheck source=/dev/null
codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
mirror=$(apt-cache policy | awk -v suite="$codename/main" '
  $3 == suite { uri = $2 }
  $1 == "release" { if (/l=Debian,/ && uri != "" && !found) { print uri; found = 1 } uri = "" }')
[ -n "$mirror" ] || { echo "vcsim.sh: apt knows no Debian mirror for $codename/main" >&2; exit 1; }
echo "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $codename main" > src.list

# Lists and caches of our own: the machine's apt is neither changed nor locked, and no right of root is needed.
opts=(-o "Dir::Etc::sourcelist=$dir/src.list" -o "Dir::Etc::sourceparts=$dir/parts" -o "Dir::State::lists=$dir/lists"
  -o "Dir::Cache=$dir/cache")
[ "$(id -u)" -ne 0 ] || opts+=(-o "APT::Sandbox::User=root")
apt-get "${opts[@]}" update -qq </dev/null
rm -rf golang-github-vmware-govmomi* gopath/src/github.com/vmware/govmomi
apt-get "${opts[@]}" source -qq golang-github-vmware-govmomi </dev/null >/dev/null
mv golang-github-vmware-govmomi-*/ gopath/src/github.com/vmware/govmomi

# Debian's Go by its path, and none of the settings that a Go from elsewhere on this machine may have left.
unset GOROOT GOFLAGS GOBIN GOTOOLCHAIN GOWORK
export GO111MODULE=off GOPATH="$dir/gopath:/usr/share/gocode" GOCACHE="$dir/gocache" GOENV=off
for tool in vcsim govc; do
  /usr/bin/go build -o "bin/$tool.new" "github.com/vmware/govmomi/$tool"
done
mv bin/vcsim.new bin/vcsim
mv bin/govc.new bin/govc
rm -rf gocache gopath lists cache parts src.list golang-github-vmware-govmomi*
