# What the install scripts know of Debian. To be sourced.

# Another apt on the machine holds the lock for a while only; a mirror out of reach is noticed soon.
readonly quiet=(-qq -o DPkg::Lock::Timeout=120 -o Dpkg::Use-Pty=0
    -o Acquire::Retries=1 -o Acquire::http::Timeout=20 -o Acquire::https::Timeout=20)

say() { echo "$(basename "$0"): $*"; }

# The code name of this Debian, such as bookworm; nothing elsewhere.
debian_suite() {
    [[ -r /etc/os-release ]] || return 0
    (. /etc/os-release && [[ "${ID:-}" == debian ]] && echo "${VERSION_CODENAME:-}") || true
}

# Prints the machine's own entry for Debian's main suite ($2), rewritten to suite $1: same mirror, same key. $3 is the
# form of file to look at, which is also the form of what is printed: `sources` (deb822, stanzas held apart by empty
# lines) or `list` (one entry a line).
derive_source() {
    local wanted=$1 own=$2 form=$3 file
    shopt -s nullglob
    if [[ $form == sources ]]; then
        for file in /etc/apt/sources.list.d/*.sources; do
            [[ -r $file ]] || continue
            awk -v RS= "/(^|\n)Suites:[^\n]*[ \t:]$own([ \t\n]|\$)/ { print; exit }" "$file" \
                | sed "/^#/d; s/^Suites:.*/Suites: $wanted/; s/^Components:.*/Components: main/"
        done
    else
        for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
            [[ -r $file ]] || continue
            sed -n "s/^\(deb \(\[[^]]*\] \)\?[^ ]*\) $own .*/\1 $wanted main/p" "$file"
        done
    fi
}

# Where layers are kept that are no packages of this system.
layers_prefix() {
    if [[ -n ${PARALLAX_LAYERS:-} ]]; then
        echo "$PARALLAX_LAYERS"
    elif [[ $(id -u) -eq 0 ]]; then
        echo /opt/parallax
    else
        echo "${XDG_DATA_HOME:-$HOME/.local/share}/parallax"
    fi
}
