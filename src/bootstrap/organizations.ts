import type { Services } from '../core/services.ts'
import {
  organizationService,
  type FirstAdmin,
  type Organization
} from '../modules/identity/organizations/service.ts'
import { pipelineService } from '../modules/sales/pipelines/service.ts'

/** Creates an organization with its first admin and its default pipeline. */
export const createOrganization = async (
  services: Services,
  name: string,
  admin: FirstAdmin
): Promise<Organization> => {
  const provision = pipelineService.createDefault
  const { organization } = await organizationService.create(services, { name }, admin, provision)
  return organization
}

/** The same, unless there is an organization already. Returns whether it was created. */
export const createFirstOrganization = async (
  services: Services,
  name: string,
  admin: FirstAdmin
): Promise<boolean> =>
  await organizationService.createFirst(services, name, admin, pipelineService.createDefault)
