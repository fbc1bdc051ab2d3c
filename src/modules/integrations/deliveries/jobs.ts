import { defineJob } from '../../../core/jobs.ts'

export interface CancelDeliveries {
  webhook_id: number
}

/** Cancels what waits for a webhook that was deleted. */
export const cancelDeliveries = defineJob<CancelDeliveries>('cancel_deliveries')
