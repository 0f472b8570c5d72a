#!/bin/bash
# Installs what building and testing xcgn need and this machine lacks (Debian 12 or later; root only if something is missing).
set -euo pipefail

build=(clang llvm make gcc libc6-dev linux-libc-dev pkg-config bpftool libbpf-dev libxdp-dev libelf-dev zlib1g-dev libmnl-dev
	libev-dev libcyaml-dev libyaml-dev libjansson-dev libsystemd-dev liblmdb-dev libsqlite3-dev)
tests=(libcmocka-dev shellcheck man-db iproute2 ethtool nftables tcpdump tshark iperf3 iputils-ping netcat-openbsd natpmpc
	python3 python3-scapy python3-libtorrent procps util-linux systemd)

# The sanitizers' and libFuzzer's runtime comes with the version of clang that Debian calls "clang".
clang_runtime()
{
	local version

	version=$(dpkg-query -W -f '${Depends}' clang 2>/dev/null | sed -nE 's/.*\bclang-([0-9]+).*/\1/p')
	[[ -n $version ]] || version=$(apt-cache depends clang 2>/dev/null | sed -nE 's/.*Depends: clang-([0-9]+)$/\1/p' | head -n 1)
	[[ -z $version ]] || echo "libclang-rt-$version-dev"
}

missing()
{
	local wanted=("${build[@]}" "${tests[@]}") runtime

	runtime=$(clang_runtime)
	[[ -z $runtime ]] || wanted+=("$runtime")
	dpkg-query -W -f '${Package} ${db:Status-Status}\n' "${wanted[@]}" 2>/dev/null |
		awk '$2 == "installed" { print $1 }' | sort -u | comm -13 - <(printf '%s\n' "${wanted[@]}" | sort -u)
}

command -v dpkg-query > /dev/null || { echo "deps: not a Debian system; needed: ${build[*]} ${tests[*]}" >&2; exit 1; }
mapfile -t packages < <(missing)
((${#packages[@]} > 0)) || exit 0
if ((EUID != 0)); then
	echo "deps: as root, run: apt-get install ${packages[*]}" >&2
	exit 1
fi

export DEBIAN_FRONTEND=noninteractive
echo "deps: installing ${packages[*]}"
apt-get -q update
mapfile -t packages < <(missing)	# on a machine without package lists the version of clang is known only now
apt-get -q install -y --no-install-recommends "${packages[@]}"
mapfile -t packages < <(missing)
((${#packages[@]} == 0)) || { echo "deps: still missing: ${packages[*]}" >&2; exit 1; }
echo "deps: done"
