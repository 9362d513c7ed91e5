# Sourced by the scripts in tests/: the cache outside the clone, $XDG_CACHE_HOME/tandem, and what is put into it once.

cache=${XDG_CACHE_HOME:-~/.cache}/tandem

have() {
    command -v "$1" >/dev/null
}

# fetched NAME COMMAND…: runs the command once for all, in $cache/NAME, however many runs there are at a time. The
# commands chain their steps by `&&`: bash ignores `set -e` in what `||` decides about.
fetched() {
    local folder=$cache/$1
    shift
    mkdir -p "$folder"
    (
        flock 9
        [[ -e $folder/complete ]] || { (cd "$folder" && "$@") && touch "$folder/complete"; }
    ) 9>"$folder/lock"
}

# The name changes with what it is made of, so an old one is never taken for a new one.
digest() {
    cat "$@" | sha256sum | cut -c1-12
}

# use_python NAME FILE…: puts Python with the packages of these files of requirements first in PATH.
use_python() {
    local folder
    folder=$1-$(digest "${@:2}" <(python3 --version))
    fetched "$folder" fetch_python "${@:2}" >&2
    export PATH=$cache/$folder/venv/bin:$PATH
}

fetch_python() {
    python3 -m venv --clear venv &&
        venv/bin/python -m pip install --quiet --disable-pip-version-check "${@/#/--requirement=}"
}

# use_node NAME FOLDER: the packages of the lock file in a folder, in $node_modules.
use_node() {
    local folder
    folder=$1-$(digest "$2/package-lock.json")
    fetched "$folder" fetch_node "$2" >&2
    node_modules=$cache/$folder/node_modules
}

fetch_node() {
    cp "$1"/package{,-lock}.json . &&
        npm ci --ignore-scripts --no-audit --no-fund
}

# use_buf ROOT: puts buf first in PATH.
use_buf() {
    use_node buf "$1/tests/tools"
    export PATH=$node_modules/.bin:$PATH
}

# find_in_debian PROGRAM PACKAGE: the path of a program, in $found: as it is installed, or of Debian's package, which is
# fetched and unpacked for whoever is no root and for who does not want to install it. That one needs its folder in
# LD_LIBRARY_PATH. Whoever sources this says with `fail` that there is none.
find_in_debian() {
    local program=$1 package=$2 folder
    found=$(PATH=$PATH:/usr/sbin:/usr/local/sbin type -P "$program" || true)
    [[ -z $found ]] || return 0
    local missing="$program is missing: install the package $package"
    if ! have apt-get || ! have dpkg-deb; then fail "$missing"; fi
    folder=$program-$(digest /etc/os-release)
    fetched "$folder" fetch_from_debian "$program" "$package" >&2 ||
        fail "$missing (it could not be downloaded either, see above)"
    found=$cache/$folder/binary/$program
}

# Debian's packages, unpacked: the program and the libraries that it names, side by side.
fetch_from_debian() {
    local program=$1 package=$2 libraries one
    if [[ -z $(apt-cache show "$package" 2>/dev/null) ]]; then
        if ((EUID == 0)); then
            apt-get update
        else
            echo "apt-get knows no package $package: have root run \"apt-get update\""
            return 1
        fi
    fi
    mapfile -t libraries < <(apt-cache depends "$package" | sed -n 's/^ *Depends: \(lib.*\)/\1/p' | grep -vx libc6)
    apt-get download "$package" "${libraries[@]}" &&
        for one in *.deb; do dpkg-deb --extract "$one" unpacked || return; done &&
        mkdir -p binary &&
        find unpacked -name '*.so*' -exec cp {} binary/ \; &&
        cp unpacked/usr/*bin/"$program" binary/ &&
        rm -rf unpacked ./*.deb
}
