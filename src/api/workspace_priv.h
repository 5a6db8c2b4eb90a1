#ifndef API_WORKSPACE_PRIV_H
#define API_WORKSPACE_PRIV_H

/*
 * Shared by the files that answer for workspaces.
 */

#include "resource_priv.h"
#include "store/workspace.h"

/* request->name: an instance key finds any; a workspace's own key finds its own. */
NODISCARD enum status workspace_find_visible(const struct resource_request *request,
                                             struct workspace *out_workspace,
                                             struct problem *problem);
/* The members of a workspace, in an open object. */
void workspace_write_members(struct jsonw *json, const struct workspace *workspace);

#endif
