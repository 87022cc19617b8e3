#!/usr/bin/env bash
# A throw-away SLURM cluster on the loopback interface: several slurmds on this one machine. Run as root.
#   slurm_up.sh DIRECTORY [NODES]
# Debian: apt-get install -y --no-install-recommends slurm-wlm munge
set -euo pipefail
dir=${1:?usage: slurm_up.sh DIRECTORY [NODES]}
nodes=${2:-2}
host=$(hostname -s)

if [ -e /etc/slurm/slurm.conf ] || [ -L /etc/slurm/slurm.conf ]; then
  echo "/etc/slurm/slurm.conf exists: this machine has a SLURM already, and it is left alone" >&2
  exit 3
fi

mkdir -p "$dir"/{state,log,spool,munge} /etc/slurm
# munged wants to be the only one who may write above its socket
chmod 711 "$dir" "$dir/munge"
dd if=/dev/urandom of="$dir/munge/munge.key" bs=1024 count=1 status=none
chmod 600 "$dir/munge/munge.key"
munged --force --key-file="$dir/munge/munge.key" --socket="$dir/munge/munge.socket" \
  --pid-file="$dir/munge/munged.pid" --log-file="$dir/munge/munged.log" --seed-file="$dir/munge/munged.seed" \
  --num-threads=2

# SlurmdTimeout: a node that does not answer is down after 15 s (default: 300).
# MinJobAge: squeue knows a job for so long after its end; without a database nothing else does.
cat > "$dir/slurm.conf" <<CONF
ClusterName=test
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmdUser=root
SlurmctldPort=16917
AuthType=auth/munge
AuthInfo=socket=$dir/munge/munge.socket
CredType=cred/munge
MpiDefault=none
ReturnToService=2
SlurmdTimeout=15
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool/%n
SlurmctldPidFile=$dir/slurmctld.pid
SlurmdPidFile=$dir/slurmd.%n.pid
SlurmctldLogFile=$dir/log/slurmctld.log
SlurmdLogFile=$dir/log/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
SchedulerParameters=bf_interval=1,sched_interval=1,batch_sched_delay=0
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
MinJobAge=7200
KillWait=5
DefMemPerCPU=500
CONF
names=()
for i in $(seq 1 "$nodes"); do
  mkdir -p "$dir/spool/node$i"
  names+=("node$i")
  echo "NodeName=node$i NodeHostname=$host NodeAddr=127.0.0.1 Port=$((16920 + i)) CPUs=2 RealMemory=9000" >> "$dir/slurm.conf"
done
echo "PartitionName=main Nodes=$(IFS=,; echo "${names[*]}") Default=YES MaxTime=1-00:00:00 State=UP" >> "$dir/slurm.conf"

# srun inside a job reads the default path: the executor takes SLURM_* out of the job's environment
ln -s "$dir/slurm.conf" /etc/slurm/slurm.conf
slurmctld
for name in "${names[@]}"; do slurmd -N "$name"; done
for _ in $(seq 40); do
  [ "$(sinfo -h -N -o %t 2>/dev/null | grep -c '^idle$')" = "$nodes" ] && exit 0
  sleep 0.5
done
sinfo
echo "not all nodes are idle after 20 s: see $dir/log" >&2
exit 1
