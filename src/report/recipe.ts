/** How to record a kernel: commands for its user to read, change and run as root. Nothing here is run by iommulator. */
export const KERNEL_RECIPE = `# maps and unmaps of the DMA API, and what VT-d's driver submits; as root, while the workload runs
trace-cmd record -e iommu:map -e iommu:unmap -e iommu:io_page_fault -e intel_iommu:qi_submit sleep 10
trace-cmd report -t > kernel.txt
iommulator import kernel.txt -o kernel.trace

# which device, and in which direction (Linux 6.12 and later)
trace-cmd record -e iommu:map -e iommu:unmap -e dma:dma_map_page -e dma:dma_unmap_page sleep 10

# the same without trace-cmd
cd /sys/kernel/tracing && echo nop > current_tracer && echo 100000 > buffer_size_kb
echo 1 > events/iommu/map/enable && echo 1 > events/iommu/unmap/enable
echo 1 > tracing_on && sleep 10 && echo 0 > tracing_on && cat trace > ~/kernel.txt

# with flushes of CPU TLBs, and of cache tags (Linux 6.12 and later)
trace-cmd record -e iommu:map -e iommu:unmap -e tlb:tlb_flush -e intel_iommu:cache_tag_flush_range sleep 10

# what mmu_notifiers are told (of processes that have one: KVM, SVA, RDMA), and page faults; kprobes with BTF, Linux 6.6 and later
cd /sys/kernel/tracing && echo nop > current_tracer
echo 'p:invalidate_range_start __mmu_notifier_invalidate_range_start mm=range->mm:x64 start=range->start:x64 end=range->end:x64 event=range->event:u32' >> dynamic_events
echo 'p:invalidate_range_end __mmu_notifier_invalidate_range_end start=range->start:x64 end=range->end:x64' >> dynamic_events
echo 'p:invalidate_secondary_tlbs __mmu_notifier_arch_invalidate_secondary_tlbs mm=mm:x64 start=start:x64 end=end:x64' >> dynamic_events
trace-cmd record -e kprobes -e exceptions:page_fault_user sleep 10
trace-cmd report -t > mm.txt
iommulator import mm.txt -o mm.trace

# the same with bpftrace, on any kernel with BTF; \`import\` reads what it prints
bpftrace -e '
  kprobe:__mmu_notifier_invalidate_range_start { $r = (struct mmu_notifier_range *)arg0;
    printf("%s-%d [%03d] %llu.%09llu: invalidate_range_start: mm=0x%llx start=0x%llx end=0x%llx event=%d\\n", comm, tid, cpu,
      nsecs / 1000000000, nsecs % 1000000000, (uint64)$r->mm, $r->start, $r->end, $r->event) }
  tracepoint:exceptions:page_fault_user {
    printf("%s-%d [%03d] %llu.%09llu: page_fault_user: address=0x%llx ip=0x%llx error_code=0x%llx\\n", comm, tid, cpu,
      nsecs / 1000000000, nsecs % 1000000000, args->address, args->ip, args->error_code) }
  tracepoint:iommu:map {
    printf("%s-%d [%03d] %llu.%09llu: map: IOMMU: iova=0x%llx paddr=0x%llx size=%llu\\n", comm, tid, cpu,
      nsecs / 1000000000, nsecs % 1000000000, args->iova, args->paddr, args->size) }
  tracepoint:iommu:unmap {
    printf("%s-%d [%03d] %llu.%09llu: unmap: IOMMU: iova=0x%llx size=%llu unmapped_size=%llu\\n", comm, tid, cpu,
      nsecs / 1000000000, nsecs % 1000000000, args->iova, args->size, args->unmapped_size) }
  tracepoint:intel_iommu:qi_submit {
    printf("%s-%d [%03d] %llu.%09llu: qi_submit: 0x%llx dmar: 0x%llx 0x%llx 0x%llx 0x%llx\\n", comm, tid, cpu,
      nsecs / 1000000000, nsecs % 1000000000, args->qw0 & 15, args->qw0, args->qw1, args->qw2, args->qw3) }
  tracepoint:tlb:tlb_flush {
    printf("%s-%d [%03d] %llu.%09llu: tlb_flush: pages:%d reason: (%d)\\n", comm, tid, cpu,
      nsecs / 1000000000, nsecs % 1000000000, args->pages, args->reason) }' > kernel.txt
iommulator import kernel.txt -o kernel.trace

# page faults and system calls of one program (perf)
perf record -e exceptions:page_fault_user -e syscalls:sys_enter_munmap -e syscalls:sys_exit_munmap PROGRAM
perf script -F comm,pid,tid,cpu,time,event,trace > program.txt
iommulator import program.txt -o program.trace

# what invalidations cost on Intel hardware (Linux 5.14 and later): 1 counts those of the IOTLB, 2 those of device TLBs
cd /sys/kernel/debug/iommu/intel && echo 1 > dmar_perf_latency && sleep 10 && cat dmar_perf_latency > ~/latency.txt
iommulator calibrate ~/latency.txt -o costs.yaml
`;
