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

# page faults and system calls of one program (perf)
perf record -e exceptions:page_fault_user -e syscalls:sys_enter_munmap -e syscalls:sys_exit_munmap PROGRAM
perf script -F comm,pid,tid,cpu,time,event,trace > program.txt
iommulator import program.txt -o program.trace

# what invalidations cost on Intel hardware (Linux 5.14 and later): 1 counts those of the IOTLB, 2 those of device TLBs
cd /sys/kernel/debug/iommu/intel && echo 1 > dmar_perf_latency && sleep 10 && cat dmar_perf_latency > ~/latency.txt
iommulator calibrate ~/latency.txt -o costs.yaml
`;
