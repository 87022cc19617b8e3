#!/usr/bin/env bash
# Ends what slurm_up.sh started, by its pid files, and removes the link to its configuration.
dir=${1:?usage: slurm_down.sh DIRECTORY}
for file in "$dir"/slurmctld.pid "$dir"/slurmd.*.pid "$dir"/munge/munged.pid; do
  [ -s "$file" ] || continue
  # a node that was killed left its file behind: its number may be another process's now
  case "$(ps -o comm= -p "$(cat "$file")")" in slurm* | munge*) kill "$(cat "$file")" ;; esac
done
sleep 3
[ "$(readlink /etc/slurm/slurm.conf)" = "$dir/slurm.conf" ] && rm /etc/slurm/slurm.conf
true
