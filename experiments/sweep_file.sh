# sweep_file.sh - reads a sweep file and expands it into runs; sourced by sweep.sh, whose --help
# describes the file.
#
#   read_keys    asks the program for its options
#   read_sweep   checks the file, and ends the script with line and key where it is wrong
#   expand       makes the runs and their ids
# shellcheck shell=bash
# shellcheck disable=SC2154 # file, name, program and work are set by sweep.sh

# Sets takes[KEY] to `value` or `nothing`. They are read from the help of the program.
read_keys() {
  local help key
  help=$("$program" replay --help)
  declare -gA takes=()
  while read -r key; do
    takes[$key]=value
  done < <(grep -oE -- '--[a-z-]+ [A-Z]' <<<"$help" | grep -oE '[a-z][a-z-]+')
  while read -r key; do
    takes[$key]=nothing
  done < <(sed -nE 's/^  --([a-z-]+)  .*/\1/p' <<<"$help")
}

# The known key with the fewest edits (Levenshtein) from a word, at most half of it.
nearest_key() { # WORD
  printf '%s\n' "${!takes[@]}" | sort | awk -v word="$1" '
    function edits(a, b,    i, j, row, diagonal, best) {
      for (j = 0; j <= length(b); j++) row[j] = j
      for (i = 1; i <= length(a); i++) {
        diagonal = row[0]
        row[0] = i
        for (j = 1; j <= length(b); j++) {
          best = diagonal + (substr(a, i, 1) != substr(b, j, 1))
          diagonal = row[j]
          if (row[j] + 1 < best) best = row[j] + 1
          if (row[j - 1] + 1 < best) best = row[j - 1] + 1
          row[j] = best
        }
      }
      return row[length(b)]
    }
    BEGIN { fewest = int(length(word) / 2) + 1 }
    { n = edits(word, $0); if (n < fewest) { fewest = n; near = $0 } }
    END { print near }'
}

check_key() { # KEY
  local near
  case $1 in
    results | label | quiet) stop 2 "$where: '$1' is set for every run by sweep.sh itself" ;;
    json | log | timeline | help)
      stop 2 "$where: '$1' is not for a sweep, whose runs would all write the same file" ;;
  esac
  if ! [[ $1 =~ ^[a-z][a-z-]*$ ]] || [ -z "${takes[$1]-}" ]; then
    near=$(nearest_key "$1")
    stop 2 "$where: no setting '$1'; ${near:+"did you mean '$near'? "}see adaptivellm replay --help"
  fi
  [ -z "${line_of[$1]-}" ] || stop 2 "$where: '$1' is given twice, first in line ${line_of[$1]}"
  line_of[$1]=$n_lines
}

# Splits a text into words[], as a shell does, but expands nothing.
split() { # TEXT
  local rest=$1 word='' in_word=false
  local double='^"([^"]*)"' single="^'([^']*)'" bare="^([^[:blank:]\"']+)"
  words=()
  while [ -n "$rest" ]; do
    if [[ $rest =~ ^[[:blank:]]+ ]]; then
      if $in_word; then words+=("$word"); fi
      word='' in_word=false
    elif ! $in_word && [ "${rest:0:1}" = '#' ]; then
      break
    elif [[ $rest =~ $double || $rest =~ $single || $rest =~ $bare ]]; then
      word+=${BASH_REMATCH[1]} in_word=true
    else
      stop 2 "$where: a quote is not closed: $rest"
    fi
    rest=${rest:${#BASH_REMATCH[0]}}
  done
  if $in_word; then words+=("$word"); fi
}

add_fixed() { # TEXT
  local word key
  split "$1"
  [ ${#words[@]} -gt 0 ] || stop 2 "$where: no setting follows 'fixed'"
  for word in "${words[@]}"; do
    key=${word%%=*}
    [ -n "$key" ] || stop 2 "$where: fixed KEY=VALUE has no blanks around ="
    check_key "$key"
    case ${takes[$key]}$word in
      value*=* | nothing"$key") options[$key]=--$word ;;
      value*) stop 2 "$where: '$key' wants a value: fixed $key=VALUE" ;;
      *) stop 2 "$where: '$key' takes no value: fixed $key" ;;
    esac
  done
}

add_axis() { # TEXT
  local key value twice assignment='^([^=[:blank:]]+)[[:blank:]]*=(.*)$'
  [[ $1 =~ $assignment ]] || stop 2 "$where: an axis is: axis KEY = VALUE VALUE..."
  key=${BASH_REMATCH[1]}
  split "${BASH_REMATCH[2]}"
  check_key "$key"
  [ "${takes[$key]}" = value ] || stop 2 "$where: '$key' takes no value, so it is no axis"
  [ ${#words[@]} -gt 0 ] || stop 2 "$where: axis '$key' is empty: give it a value or remove it"
  twice=$(printf '%s\n' "${words[@]}" | sort | uniq -d | head -n 1)
  [ -z "$twice" ] || stop 2 "$where: axis '$key' has the value '$twice' twice"
  printf -v value -- "--$key=%s\n" "${words[@]}"
  options[$key]=${value%$'\n'}
  axes+=("$key")
}

# Sets options[KEY] to a line --KEY=VALUE for every value, and axes to the keys of axes.
read_sweep() {
  local line statement='^[[:blank:]]*(fixed|axis)([[:blank:]]+(.*))?$'
  declare -gA options=() line_of=()
  axes=() n_lines=0
  while IFS= read -r line || [ -n "$line" ]; do
    n_lines=$((n_lines + 1))
    where=$file:$n_lines
    line=${line%$'\r'}
    if [[ $line =~ $statement ]]; then
      "add_${BASH_REMATCH[1]}" "${BASH_REMATCH[3]}"
    elif ! [[ $line =~ ^[[:blank:]]*(#|$) ]]; then
      stop 2 "$where: a statement begins with 'fixed' or 'axis', or is a # comment: $line"
    fi
  done <"$file"
  [ ${#options[@]} -gt 0 ] || stop 2 "$file: there is no setting in it"
}

# Sets runs[] to the settings of every run, one option per line, and labels[] to its label. Keys
# are taken in their order, not that of the file, and so are the options that make the id.
expand() {
  local key run value values more i hash
  runs=('')
  for key in $(printf '%s\n' "${!options[@]}" | sort); do
    mapfile -t values <<<"${options[$key]}"
    more=()
    for run in "${runs[@]}"; do
      for value in "${values[@]}"; do more+=("$run$value"$'\n'); done
    done
    runs=("${more[@]}")
  done
  mkdir "$work/settings" "$work/said"
  for i in "${!runs[@]}"; do printf '%s' "${runs[i]}" >"$work/settings/$i"; done
  labels=()
  while read -r hash _; do
    labels+=("sweep:$name:${hash:0:16}")
  done < <(cd "$work/settings" && printf '%s\n' "${!runs[@]}" | xargs sha256sum)
}
