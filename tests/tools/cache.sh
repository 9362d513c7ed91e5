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
