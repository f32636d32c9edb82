import type { OrderMachine } from '../model/order.ts';

/**
 * The machines of recordings. QEMU 7.2 hw/i386/intel_iommu.c (VTD_IOTLB_MAX_SIZE 1024; vtd_hash_remove_by_page, whose mask
 * is a u8; VTD_MAMV 18) and hw/i386/amd_iommu.c (AMDVI_IOTLB_MAX_SIZE 1024; amdvi_inval_pages drops the domain). Linux
 * drivers/iommu/intel/dmar.c QI_LENGTH 256; drivers/iommu/dma-iommu.c IOVA_FQ_SIZE 256.
 */
const QEMU_VTD: OrderMachine = {
  name: 'qemu-vtd',
  commands: 'vtd',
  entries: 1024,
  drops: 'low-byte',
  maxOrder: 18,
  slots: 256,
  queue: 256,
};

const QEMU_AMDVI: OrderMachine = { ...QEMU_VTD, name: 'qemu-amdvi', commands: 'amdvi', drops: 'domain' };

export const ORDER_MACHINES: readonly OrderMachine[] = [QEMU_VTD, QEMU_AMDVI];
