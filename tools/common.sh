# tools/common.sh: what the shell tools share; sourced, never run.
# shellcheck shell=bash

set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# The packages are those of PostgreSQL 15, so its pg_config wins over a newer one in PATH,
# unless the caller names one.
if [ "${PG_CONFIG:-pg_config}" = pg_config ] && [ -x /usr/lib/postgresql/15/bin/pg_config ]; then
	PG_CONFIG=/usr/lib/postgresql/15/bin/pg_config
fi
export PG_CONFIG=${PG_CONFIG:-pg_config}

say()
{
	printf '%s\n' "$*"
}

die()
{
	printf '%s: %s\n' "$(basename "$0")" "$*" >&2
	exit 1
}

# head_is_help ARGUMENT...: asked for --help, a tool that takes hardly any arguments prints the comment at its head
head_is_help()
{
	case ${1:-} in
		--help|-h)
			sed -n '2s/^# /usage: /p; 3,/^$/s/^# //p' "$0"
			exit 0
			;;
	esac
}

# run what needs the administrator
as_root()
{
	if [ "$EUID" -eq 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		die "this needs root, and there is no sudo: run as root: $*"
	fi
}

# logged LOG WHAT COMMAND...: one line for people, the output to LOG, its end shown on failure
logged()
{
	local log=$1 what=$2 status=0

	shift 2
	mkdir -p "$(dirname "$log")"
	say "$what"
	printf '\n# %s: %s\n' "$(date -u +%FT%TZ)" "$*" >>"$log"
	"$@" >>"$log" 2>&1 </dev/null || status=$?
	if [ "$status" -ne 0 ]; then
		show_log "$log"
		die "failed (exit status $status): ${what,}"
	fi
}

show_log()
{
	printf -- '---- the end of %s ----\n' "$1" >&2
	tail -n 30 "$1" >&2 || true
	printf -- '----\n' >&2
}

# build TARGET...: with all warnings as errors, on two processors
build()
{
	env -u MAKEFLAGS -u MAKELEVEL make -C "$top" -j2 PG_CONFIG="$PG_CONFIG" "$@"
}
