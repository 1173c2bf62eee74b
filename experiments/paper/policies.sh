# policies.sh - the policies of the paper experiments: the one place that names them. Sourced by
# common.sh.
#
# Experiments and tables speak of roles; what plays a role is told here, or by --as ROLE=POLICY.
# What the program does not know is left out, and said.
# shellcheck shell=bash
# shellcheck disable=SC2034 # used by the scripts that source this file

# ROLE|POLICY|what tables and figures call it
roles='
v0-recompute|vllm-v0-recompute|vLLM V0, recompute
v0-swap|vllm-v0-swap|vLLM V0, swap
v1|vllm-v1|vLLM V1
v1-watermark|vllm-v1,watermark=0.05|vLLM V1, 5 % watermark
cost-aware|cost-aware|cost-aware
adaptive|adaptive|adaptive
srpt|srpt-oracle|SRPT, true lengths
bound|oracle-bound|bound, FCFS
bound-lpt|oracle-bound,order=lpt-oracle|bound, longest first
'

# The roles whose figures are set against those of the others.
ours=(adaptive cost-aware)

# Orders x memories: each order as a setting of each of these policies.
ablation_orders=(fcfs sjf-prompt hrrn mlfq gittins srpt-oracle)
ablation_memories=(always-recompute always-swap min-waste cost-aware adaptive)

# What other systems do, as far as it is modelled: NAME=POLICY.
neighbours=(
  'vLLM V1, CPU offload=vllm-v1-offload'
  'nano-vllm=nano-vllm'
  'TensorRT-LLM, no evict=trtllm-no-evict'
  'TensorRT-LLM, max utilization=trtllm-max-utilization'
  'SGLang=sglang'
  'LightLLM=lightllm'
  'LightLLM, Past-Future=past-future'
  'InferCept, min-waste=min-waste'
  'FastServe=fastserve'
  'FCFS, 5 % watermark=fcfs-watermark'
  'least computed first=least-computed-first'
  'always recompute=always-recompute'
  'always swap=always-swap'
  'cost-aware=cost-aware'
  'adaptive=adaptive'
)

# The way from fairness to throughput: settings of the role adaptive.
pareto_settings=(fairness=0 fairness=0.1 fairness=0.2 fairness=0.3 fairness=0.4 fairness=0.5
  fairness=0.6 fairness=0.7 fairness=0.8 fairness=0.9 fairness=1)

# What is known of output lengths: learned while running, or told with an error (standard
# deviation of the logarithm).
length_policies=(
  'learned=adaptive'
  'none (by arrival)=adaptive,order=fcfs'
  'none (by attained service)=adaptive,order=mlfq'
  'true=srpt-oracle'
  'true, error 0.2=srpt-oracle,length_error=0.2'
  'true, error 0.5=srpt-oracle,length_error=0.5'
  'true, error 1=srpt-oracle,length_error=1'
  'true, error 2=srpt-oracle,length_error=2'
)

# Mechanisms are the settings of the role adaptive that are on by default; each is switched off
# alone. Those that have other values than on and off are named here as they are without it.
mechanism_settings=(mechanism=swap mechanism=recompute mechanism=cheaper victim=least-urgent
  hysteresis=1000 min_service=0 order=fcfs)
