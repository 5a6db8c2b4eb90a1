#ifndef APP_COMMANDS_H
#define APP_COMMANDS_H

/*
 * The commands (contract 15), one file each, and the table that main reads.
 */

#include "app/arguments.h"

extern const struct command_table shopbell_commands;

command_fn command_serve;
command_fn command_migrate;
command_fn command_doctor;
command_fn command_status;
command_fn command_tail;
command_fn command_hold;
command_fn command_release;
command_fn command_import;
command_fn command_replay;
command_fn command_check;
command_fn command_retention_run;
command_fn command_version;
command_fn command_config_init;
command_fn command_config_check;
command_fn command_completion;

command_fn command_workspace_create;
command_fn command_workspace_list;
command_fn command_workspace_show;
command_fn command_workspace_update;

command_fn command_source_create;
command_fn command_source_list;
command_fn command_source_show;
command_fn command_source_update;
command_fn command_source_delete;
command_fn command_source_verify;
command_fn command_source_secret_add;
command_fn command_source_secret_list;
command_fn command_source_secret_delete;

command_fn command_key_create;
command_fn command_key_list;
command_fn command_key_show;
command_fn command_key_delete;

command_fn command_universal_post;
command_fn command_universal_list;
command_fn command_universal_show;

command_fn command_quarantine_list;
command_fn command_quarantine_show;
command_fn command_quarantine_replay;

command_fn command_rule_list;
command_fn command_rule_show;
command_fn command_rule_set;
command_fn command_rule_apply;
command_fn command_rule_delete;
command_fn command_rule_members;
command_fn command_rule_restore;
command_fn command_trigger_list;
command_fn command_trigger_show;
command_fn command_trigger_set;
command_fn command_trigger_delete;
command_fn command_trigger_pause;
command_fn command_trigger_resume;
command_fn command_trigger_outcomes;

command_fn command_job_list;
command_fn command_job_show;
command_fn command_job_cancel;

command_fn command_subscription_create;
command_fn command_subscription_list;
command_fn command_subscription_show;
command_fn command_subscription_update;
command_fn command_subscription_delete;
command_fn command_subscription_verify;
command_fn command_subscription_test;
command_fn command_subscription_pause;
command_fn command_subscription_resume;
command_fn command_subscription_rotate_secret;
command_fn command_subscription_stats;

command_fn command_delivery_list;
command_fn command_delivery_replay;

#endif
