# Sourced by quickstart and check: installs the Debian packages of packages.txt that are missing, and none other.

say() { printf '\n\033[1m%s\033[0m\n' "$*" >&2; }

# missing_packages PURPOSE...: names in packages.txt for these purposes that are not installed.
missing_packages() {
    local name purpose wanted
    while read -r name purpose; do
        case "$name" in '' | '#'*) continue ;; esac
        for wanted in "$@"; do
            if [ "$purpose" = "$wanted" ] &&
                [ "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null)" != installed ]; then
                echo "$name"
            fi
        done
    done < "$(dirname "${BASH_SOURCE[0]}")/packages.txt"
}

# install_packages PURPOSE...: as root at once; an ordinary user is asked first.
install_packages() {
    local missing become=() answer=
    missing=$(missing_packages "$@" | tr '\n' ' ')
    [ -n "$missing" ] || return 0
    say "These Debian packages are missing: $missing"
    if [ "$(id -u)" -ne 0 ]; then
        if ! command -v sudo >/dev/null || [ ! -t 0 ]; then
            echo "Install them, then run this again:  apt-get install --no-install-recommends $missing" >&2
            exit 1
        fi
        read -r -p "Install them with sudo? [y/N] " answer
        case "$answer" in y | Y | yes) become=(sudo) ;; *) exit 1 ;; esac
    fi
    "${become[@]}" apt-get update -qq
    # shellcheck disable=SC2086  # a list of names
    "${become[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing
}
