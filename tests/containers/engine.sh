# Sourced by tests/compose: a Docker Engine of its own, for machines where none runs, and stand-ins for the images that it
# cannot pull.
#
# Nothing of it is installed. The packages of Debian $suite are unpacked into the cache; the engine runs in namespaces of its
# own for the network, mounts and processes, so that whatever it starts, mounts and listens to is gone with the command that
# it was started for. What stays is in the cache: its images and the layers of earlier builds.

suite=trixie
# These belong to the system that they run on; the others are static, or nearly so.
native=(runc libseccomp2 iptables libip4tc2 libip6tc2 libxtables12 libmnl0 libnetfilter-conntrack3 libnfnetlink0 libnftnl11)
foreign=(docker.io docker-cli docker-compose docker-buildx containerd tini debootstrap)
inside=(gcc libc6-dev ca-certificates postgresql-17)

# The folder with the unpacked engine, in $engine; that of the system that the stand-ins are made of, in $system; that with
# Prometheus, in $prometheus.
use_engine() {
    local folder
    ((EUID == 0)) || fail 'no Docker Engine runs here, and only root can start one'
    if ! have apt-get || ! have dpkg-deb || ! have unshare || ! have nsenter || ! have ip; then
        fail 'no Docker Engine runs here, and starting one takes a Debian with util-linux and iproute2'
    fi
    folder=engine-$(digest /etc/os-release <(echo "$suite" "${native[@]}" "${foreign[@]}" "${inside[@]}"))
    fetched "$folder" fetch_engine
    engine=$cache/$folder/engine
    export system=$cache/$folder/system.tar
    folder=prometheus-$suite-$(digest /etc/os-release)
    fetched "$folder" fetch_prometheus
    export prometheus=$cache/$folder/programs
}

# Both programs; they need nothing beside the C library. A newer one than that of this system may be: its promtool knows
# `check ready`.
fetch_prometheus() {
    local package
    download_of_suite prometheus promtool &&
        for package in packages/*.deb; do dpkg-deb --extract "$package" unpacked || return; done &&
        mkdir -p programs && cp unpacked/usr/bin/prom{etheus,tool} programs/ &&
        rm -rf packages unpacked
}

fetch_engine() {
    unpack_packages && make_system
}

unpack_packages() {
    local package
    rm -rf engine && mkdir -p engine &&
        download_of_suite "${foreign[@]}" &&
        (cd packages && native_packages) &&
        for package in packages/*.deb; do dpkg-deb --extract "$package" engine || return; done &&
        rm -rf packages &&
        ln -s xtables-nft-multi engine/usr/sbin/iptables &&
        ln -s xtables-nft-multi engine/usr/sbin/ip6tables
}

# Into the folder `packages`.
download_of_suite() {
    rm -rf packages apt && mkdir -p packages apt/lists/partial apt/archives/partial &&
        apt_of_suite >apt/apt.conf &&
        APT_CONFIG=$PWD/apt/apt.conf apt-get --quiet=2 update &&
        (cd packages && APT_CONFIG=$PWD/../apt/apt.conf apt-get --quiet=2 download "$@") &&
        rm -rf apt
}

native_packages() {
    [[ $(apt-cache show runc 2>/dev/null) ]] || apt-get --quiet=2 update
    apt-get --quiet=2 --option APT::Sandbox::User=root download "${native[@]}"
}

# A state of apt beside the system's, for another release; where Debian is had from is what the system says.
apt_of_suite() {
    local archive
    archive=$(archive)
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $archive $suite main" >apt/sources.list
    cat <<END
Dir::State::Lists "$PWD/apt/lists";
Dir::State::Status "/dev/null";
Dir::Cache "$PWD/apt";
Dir::Etc::SourceList "$PWD/apt/sources.list";
Dir::Etc::SourceParts "/dev/null";
APT::Sandbox::User "root";
END
}

archive() {
    # Apt's own variables.
    # shellcheck disable=SC2016
    apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' | grep -v security | head -1
}

make_system() {
    local archive
    archive=$(archive)
    rm -rf system
    DEBOOTSTRAP_DIR=$PWD/engine/usr/share/debootstrap unshare --mount engine/usr/sbin/debootstrap --variant=minbase \
        --include="$(IFS=, && echo "${inside[*]}")" "$suite" "$PWD/system" "$archive" >debootstrap.log ||
        { tail -5 debootstrap.log && return 1; }
    tar --create --directory=system --exclude=./dev --exclude='./var/cache/apt/archives/*.deb' \
        --exclude='./var/lib/apt/lists/*' --file=system.tar . && rm -rf system
}

# with_engine COMMAND…: runs it in the engine's namespaces, with a docker client that speaks to it, and ends the engine. One
# at a time: the images are kept in a folder that one engine uses.
with_engine() {
    local state=$cache/engine-state
    mkdir -p "$state"
    (
        flock --nonblock 9 || fail 'another run has the engine'
        # Everything dies with the first process of the namespace, and that with this one.
        unshare --net --mount --pid --fork --kill-child=KILL --mount-proc \
            "$root/tests/containers/engine" "$engine" "$state" "$@" 9>&-
    ) 9>"$state/lock"
}

# Images under the names that deploy/Dockerfile and docker-compose.yaml use. For an engine of our own only: one that others
# use as well must not have images that are not what their names say.
make_stand_ins() {
    local rust postgres watcher toolchain=$logs/toolchain sysroot
    rust=$(sed -n 's/^ARG RUST_IMAGE=//p' deploy/Dockerfile)
    postgres=$(sed -n 's/^ *image: \(postgres:.*\)/\1/p' docker-compose.yaml | sort -u)
    watcher=$(sed -n 's/^ *image: \(prom.*\)/\1/p' docker-compose.yaml)
    docker import "$system" tandem-stand-in/debian >/dev/null
    sysroot=$(rustc --print sysroot)
    mkdir -p "$toolchain/bin" "$toolchain/lib/rustlib"
    cp "$sysroot"/bin/{cargo,rustc} "$toolchain/bin/"
    cp "$sysroot"/lib/*.so* "$toolchain/lib/"
    cp --recursive "$sysroot/lib/rustlib/$(rustc --print host-tuple)" "$toolchain/lib/rustlib/"
    docker buildx build --quiet --target rust --tag "$rust" --build-context toolchain="$toolchain" \
        tests/containers/stand-ins >/dev/null
    docker buildx build --quiet --target postgres --tag "$postgres" tests/containers/stand-ins >/dev/null
    docker buildx build --quiet --target prometheus --tag "$watcher" --build-context programs="$prometheus" \
        tests/containers/stand-ins >/dev/null
    rm -rf "$toolchain"
    say "stand-ins for $rust, $postgres and $watcher, which cannot be pulled here"
}
