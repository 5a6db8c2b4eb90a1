#include "app/commands.h"

#include "app/cli.h"

/*
 * The command line as one table: help, suggestions and completion are read off
 * it, so a command that exists is a command that is explained. Siblings stand
 * together.
 */

static const struct command_option serve_options[] = {
    { "migrate", NULL, "apply missing migrations first (always done with --embedded)" },
    { "verbose", NULL, "log more" },
    { NULL, NULL, NULL },
};

static const struct command_option migrate_options[] = {
    { "check", NULL, "only say whether the schema is up to date" },
    { NULL, NULL, NULL },
};

static const struct command_option tail_options[] = {
    { "since", "DURATION", "begin so long ago: 10m" },
    { "once", NULL, "show what is there and end" },
    { NULL, NULL, NULL },
};

static const struct command_option import_options[] = {
    { "source", "NAME", "whose history it is" },
    { "format", "NAME",
      "ndjson, csv, shopify-orders, shopify-customers, woocommerce-orders; seen from the file" },
    { "kind", "KIND", "what is in it: customers, orders, products, events, email" },
    { "map", "COLUMN=FIELD,...", "what columns mean: \"E-mail=email,Amount=total\"" },
    { "exported-at", "INSTANT", "when the file was made, if not at its last change" },
    { "dry-run", NULL, "read and judge, write nothing" },
    { "complete", NULL, "with these files all of the source's history is in" },
    { "strict", NULL, "fail when a record was rejected" },
    { NULL, NULL, NULL },
};

static const struct command_option retention_options[] = {
    { "dry-run", NULL, "only say what would go" },
    { NULL, NULL, NULL },
};

static const struct command_option check_options[] = {
    { "sample", "N", "only so many customers, drawn" },
    { "repair", NULL, "fold those that differ anew, silently" },
    { NULL, NULL, NULL },
};

static const struct command_option universal_post_options[] = {
    { "source", "NAME", "in whose name (api)" },
    { "dry-run", NULL, "check it, keep nothing" },
    { NULL, NULL, NULL },
};

static const struct command_option universal_list_options[] = {
    { "type", "TYPE", "product.back_in_stock, weather.changed, universal.<name>, ..." },
    { "source", "NAME", "of this source only" },
    { "product", "ID", "of this product only" },
    { "since", "INSTANT|DURATION", "happened since then, or so long ago: 2d" },
    { "until", "INSTANT|DURATION", "happened before then" },
    { NULL, NULL, NULL },
};

static const struct command_option quarantine_list_options[] = {
    { "source", "NAME", "of this source only" },
    { NULL, NULL, NULL },
};

static const struct command_option quarantine_replay_options[] = {
    { "source", "NAME", "of this source only" },
    { "since", "INSTANT|DURATION", "received since then, or so long ago: 7d" },
    { "until", "INSTANT|DURATION", "received before then" },
    { "topic", "TOPIC", "as its sender named it" },
    { "dry-run", NULL, "read and say what would come, change nothing" },
    { NULL, NULL, NULL },
};

static const struct command_option replay_options[] = {
    { "source", "NAME", "whose raw webhooks are read again" },
    { "since", "INSTANT|DURATION", "received since then, or so long ago: 7d" },
    { "until", "INSTANT|DURATION", "received before then" },
    { "topic", "TOPIC", "as its sender named it" },
    { "dry-run", NULL, "try and say what would change, keep all as it is" },
    { NULL, NULL, NULL },
};

static const struct command_option workspace_create_options[] = {
    { "title", "TEXT", "for people" },
    { "currency", "CODE", "ISO 4217, for what has none of its own: EUR" },
    { "time-zone", "ZONE", "IANA: Europe/Paris" },
    { NULL, NULL, NULL },
};

static const struct command_option workspace_update_options[] = {
    { "title", "TEXT", "for people" },
    { "time-zone", "ZONE", "IANA: Europe/Paris" },
    { "back-in-stock-min", "COUNT", "what was sold out is back from so many on (1)" },
    { "price-change-percent", "NUMBER", "a price has changed from so many per cent on (1)" },
    { "price-change-amount", "NUMBER", "and by at least so much of its currency (0)" },
    { "catalogue-quiet", "DURATION", "the same is not told again of a variant within (1h)" },
    { NULL, NULL, NULL },
};

static const struct command_option source_create_options[] = {
    { "platform", "NAME", "shopify, woocommerce, ...: GET /v1/platforms lists them" },
    { "secret-file", "FILE", "the platform's signing secret; - is stdin" },
    { "label", "TEXT", "what to call that secret" },
    { "shop-domain", "HOST", "Shopify: aurora.myshopify.com" },
    { "site-url", "URL", "WooCommerce: https://outlet.aurora.example" },
    { "time-zone", "ZONE", "of dates without one" },
    { "currency", "CODE", "of amounts without one" },
    { "set", "NAME=VALUE", "any other setting; may be repeated" },
    { "settings", "JSON", "all settings at once" },
    { NULL, NULL, NULL },
};

static const struct command_option source_update_options[] = {
    { "shop-domain", "HOST", "Shopify: aurora.myshopify.com" },
    { "site-url", "URL", "WooCommerce: https://outlet.aurora.example" },
    { "time-zone", "ZONE", "of dates without one" },
    { "currency", "CODE", "of amounts without one" },
    { "set", "NAME=VALUE", "any other setting; may be repeated" },
    { "settings", "JSON", "several at once (merge patch)" },
    { NULL, NULL, NULL },
};

static const struct command_option source_verify_options[] = {
    { "header", "\"NAME: VALUE\"", "as the platform sent it; may be repeated" },
    { "body-file", "FILE", "the raw body; stdin if left out" },
    { NULL, NULL, NULL },
};

static const struct command_option secret_add_options[] = {
    { "secret-file", "FILE", "the secret; stdin if left out" },
    { "generate", NULL, "let Shopbell make one, and show it once" },
    { "label", "TEXT", "what to call it" },
    { "shadow", NULL, "count its matches, decide nothing by it" },
    { "expires-at", "INSTANT", "2027-01-01T00:00:00Z" },
    { NULL, NULL, NULL },
};

static const struct command_option key_create_options[] = {
    { "scope", "SCOPE",
      "ingest, read, pii, configure, subscribe, privacy, admin; may be repeated" },
    { "max-topic", "TOPIC", "the most its subscriptions may ask for; may be repeated" },
    { "max-fields", "FIELDS", "default" },
    { "expires-at", "INSTANT", "2027-01-01T00:00:00Z" },
    { "instance", NULL, "for workspaces themselves; no other scope" },
    { NULL, NULL, NULL },
};

static const struct command_option key_options[] = {
    { "instance", NULL, "keys of the instance, not of a workspace" },
    { NULL, NULL, NULL },
};

static const struct command_option subscription_options[] = {
    { "url", "URL", "where notifications go" },
    { "topic", "TOPIC", "order.completed, order.*, *; may be repeated" },
    { "title", "TEXT", "for people" },
    { "filter", "RULE", "only what this holds for: a rule's text" },
    { "fields", "SET", "what a notification tells: default, thin, full, changed" },
    { "field", "NAME", "these instead, as rules write them; may be repeated" },
    { "map", "NAME=TEXT", "more of it: \"greeting=Hi {first_name}\"; may be repeated" },
    { "format", "FORMAT", "shopbell, cloudevents, or an ESP's own: klaviyo, braze, ..." },
    { "auth-file", "FILE", "the ESP's key; - is stdin" },
    { "set", "NAME=VALUE", "a setting of the ESP's format; may be repeated" },
    { "channel", "CHANNEL", "whose consent is asked for before each call: email, sms, ..." },
    { "recheck", NULL, "ask the filter again before each call" },
    { "no-recheck", NULL, "do not" },
    { "ordering", "ORDER", "profile: about a customer one after the other; none" },
    { "batch-max", "COUNT", "several in one call, so many at most" },
    { "batch-wait", "DURATION", "how long the first of them waits for others (1s)" },
    { "rate-limit", "COUNT", "calls in --rate-per at most" },
    { "rate-per", "DURATION", "(1s)" },
    { "header", "NAME=VALUE", "sent with each; may be repeated" },
    { "concurrency", "COUNT", "calls at once (8)" },
    { "timeout", "DURATION", "how long a call may take (15s)" },
    { "max-age", "DURATION", "give up after (72h)" },
    { "signature", "SCHEME", "v1 (HMAC), v1a (Ed25519); may be repeated" },
    { "document", "FILE", "all of it as over REST, options go over it; - is stdin" },
    { "dry-run", NULL, "check everything, save nothing" },
    { NULL, NULL, NULL },
};

static const struct command_option subscription_verify_options[] = {
    { "challenge", "TEXT", "what the endpoint's owner received" },
    { NULL, NULL, NULL },
};

static const struct command_option rotate_options[] = {
    { "overlap", "DURATION", "how long the former one signs as well (24h)" },
    { NULL, NULL, NULL },
};

static const struct command_option hold_options[] = {
    { "reason", "TEXT", "for whoever looks next" },
    { NULL, NULL, NULL },
};

static const struct command_option release_options[] = {
    { "drop-older-than", "DURATION", "do not send what was made before that: 2h" },
    { NULL, NULL, NULL },
};

static const struct command_option delivery_list_options[] = {
    { "subscription", "NAME", "of this one only" },
    { "topic", "TOPIC", "of this topic only" },
    { "profile", "ID", "about this customer only" },
    { "status", "STATUS", "waiting, retrying, sending, paused, held" },
    { NULL, NULL, NULL },
};

static const struct command_option delivery_replay_options[] = {
    { "subscription", "NAME", "to this one only" },
    { "since", "INSTANT|DURATION", "called since then, or so long ago: 2d" },
    { "until", "INSTANT|DURATION", "called before then" },
    { "status", "STATUS", "failed (if left out) or all" },
    { NULL, NULL, NULL },
};

static const struct command_option rule_options[] = {
    { "dry-run", NULL, "check everything, save nothing" },
    { NULL, NULL, NULL },
};

static const struct command_option rule_members_options[] = {
    { "value", "VALUE", "of a lifecycle or tier: only those with this one" },
    { NULL, NULL, NULL },
};

static const struct command command_list[] = {
    { "serve", "[--embedded DIR]", "run the server",
      "shopbell serve --embedded ./shopbell-data\n"
      "shopbell serve --embedded ./shopbell-data --dev --listen 127.0.0.1:9000\n"
      "shopbell serve --config /etc/shopbell/shopbell.ini",
      serve_options, 0, 0, command_serve },
    { "migrate", "[--check]", "bring the database up to date",
      "shopbell migrate\nshopbell migrate --check", migrate_options, 0, 0, command_migrate },
    { "doctor", "", "look for what will hurt later", "shopbell doctor\nshopbell doctor --json",
      NULL, 0, 0, command_doctor },
    { "status", "", "one screen: sources, subscriptions, what waits",
      "shopbell status\nshopbell status --workspace aurora --json", NULL, 0, 0, command_status },
    { "tail", "[--since DURATION]", "watch webhooks, notifications and deliveries",
      "shopbell tail\nshopbell tail --workspace aurora --since 10m --json", tail_options, 0, 0,
      command_tail },
    { "hold", "[--reason TEXT]", "the brake: send nothing for a workspace until it is released",
      "shopbell hold --workspace aurora --reason \"wrong prices went out\"\nshopbell hold",
      hold_options, 0, 0, command_hold },
    { "release", "[--drop-older-than DURATION]", "send again; what is too old by now may go",
      "shopbell release --workspace aurora\n"
      "shopbell release --workspace aurora --drop-older-than 2h --yes",
      release_options, 0, 0, command_release },
    { "import", "FILE... --source NAME", "bring in history: files of orders, customers, events",
      "shopbell import --source shopify_main orders_export_1.csv orders_export_2.csv --complete\n"
      "shopbell import --source shopify_main customers_export.csv --dry-run\n"
      "shopbell import --source api --kind orders --map \"E-mail=email,Amount=total\" till.csv\n"
      "zcat events.ndjson.gz | shopbell import --source api -",
      import_options, 1, ARGUMENTS_POSITIONALS_MAX, command_import },
    { "replay", "--source NAME --since INSTANT",
      "read raw webhooks again: what they had said is replaced, silently; carts, products, "
      "identities and merges stay",
      "shopbell replay --source atelier --since 7d --dry-run\n"
      "shopbell replay --source atelier --since 2026-11-20T00:00:00Z --topic order.paid\n"
      "shopbell job show 0199d2d0-2222-7000-8000-0000000000bb",
      replay_options, 0, 0, command_replay },
    { "check", "[--sample N] [--repair]", "compare what is stored with what the history says",
      "shopbell check --sample 1000\nshopbell check --workspace aurora --repair --json",
      check_options, 0, 0, command_check },
    { "retention run", "[--dry-run]", "fold and drop now what is older than [retention] keeps",
      "shopbell retention run --dry-run\nshopbell retention run --retention-interaction 13mo",
      retention_options, 0, 0, command_retention_run },
    { "config init", "[DIR]", "write a configuration and a master key",
      "shopbell config init /etc/shopbell --public-url https://bell.example.com\n"
      "shopbell config init",
      NULL, 0, 1, command_config_init },
    { "config check", "", "say what is in force, and where it comes from",
      "shopbell config check\nshopbell config check --config ./shopbell.ini", NULL, 0, 0,
      command_config_check },

    { "workspace create", "NAME --currency CODE", "add a brand",
      "shopbell workspace create aurora --currency EUR --time-zone Europe/Paris",
      workspace_create_options, 1, 1, command_workspace_create },
    { "workspace list", "", "all brands", "shopbell workspace list", NULL, 0, 0,
      command_workspace_list },
    { "workspace show", "NAME", "one brand", "shopbell workspace show aurora", NULL, 1, 1,
      command_workspace_show },
    { "workspace update", "NAME", "change its title, time zone, or when the catalogue is news",
      "shopbell workspace update aurora --title \"Aurora Outdoor\"\n"
      "shopbell workspace update aurora --back-in-stock-min 3 --price-change-percent 5",
      workspace_update_options, 1, 1, command_workspace_update },

    { "source create", "NAME --platform PLATFORM", "add a sender of webhooks",
      "shopbell source create shopify_main --platform shopify --shop-domain "
      "aurora.myshopify.com --secret-file ./key\n"
      "shopbell source create woo_outlet --platform woocommerce --time-zone Europe/Paris\n"
      "pass show crm | shopbell source create crm --platform standard_webhooks --secret-file -",
      source_create_options, 1, 1, command_source_create },
    { "source list", "", "all senders and their health", "shopbell source list", NULL, 0, 0,
      command_source_list },
    { "source show", "NAME", "one sender: its URL, how to set it up, its health",
      "shopbell source show shopify_main", NULL, 1, 1, command_source_show },
    { "source update", "NAME", "change its settings",
      "shopbell source update shopify_main --time-zone Europe/Paris\n"
      "shopbell source update shopify_main --set order_completed_when=paid",
      source_update_options, 1, 1, command_source_update },
    { "source delete", "NAME", "refuse its webhooks from now on",
      "shopbell source delete woo_outlet --yes", NULL, 1, 1, command_source_delete },
    { "source verify", "NAME --header ...", "would this webhook be taken? Stores nothing",
      "shopbell source verify shopify_main --body-file order.json --header "
      "\"X-Shopify-Hmac-Sha256: ...\"",
      source_verify_options, 1, 1, command_source_verify },
    { "source secret add", "NAME", "add a signing secret; several may be live",
      "shopbell source secret add shopify_main --secret-file ./key --label \"the app\"\n"
      "shopbell source secret add woo_outlet --generate",
      secret_add_options, 1, 1, command_source_secret_add },
    { "source secret list", "NAME", "its secrets, without their values",
      "shopbell source secret list shopify_main", NULL, 1, 1, command_source_secret_list },
    { "source secret delete", "NAME ID", "remove one",
      "shopbell source secret delete shopify_main 0199d2a9-0d0e-7000-8000-000000000001 --yes", NULL,
      2, 2, command_source_secret_delete },

    { "key create", "NAME --scope SCOPE", "make an API key; it is shown once",
      "shopbell key create backoffice --scope read,pii,configure\n"
      "shopbell key create mailhouse --scope subscribe --max-topic \"order.*\"\n"
      "shopbell key create operator --instance",
      key_create_options, 1, 1, command_key_create },
    { "key list", "", "all keys, without their secrets", "shopbell key list", key_options, 0, 0,
      command_key_list },
    { "key show", "NAME", "one key", "shopbell key show mailhouse", key_options, 1, 1,
      command_key_show },
    { "key delete", "NAME", "revoke it", "shopbell key delete mailhouse --yes", key_options, 1, 1,
      command_key_delete },

    { "rule list", "", "tags, segments, the lifecycle, tiers", "shopbell rule list", NULL, 0, 0,
      command_rule_list },
    { "rule show", "NAME", "one rule: what it says, uses, and counts",
      "shopbell rule show lifecycle\nshopbell rule show at_risk --json > rules/at_risk.json", NULL,
      1, 1, command_rule_show },
    { "rule set", "NAME FILE", "create or replace one rule",
      "shopbell rule set shoes_three_views shoes.json --dry-run\n"
      "echo '{\"kind\":\"tag\",\"when\":\"orders.count >= 10\"}' | shopbell rule set vip -",
      rule_options, 2, 2, command_rule_set },
    { "rule apply", "FILE...", "create or replace many, as one version",
      "shopbell rule apply rules/*.json\nshopbell rule apply all-rules.json --dry-run",
      rule_options, 1, ARGUMENTS_POSITIONALS_MAX, command_rule_apply },
    { "rule delete", "NAME", "delete a rule that no other uses",
      "shopbell rule delete shoes_three_views --yes", NULL, 1, 1, command_rule_delete },
    { "rule members", "NAME", "who is in it",
      "shopbell rule members basket --value high\nshopbell rule members at_risk --json",
      rule_members_options, 1, 1, command_rule_members },
    { "rule restore", "[NAME]", "put a shipped rule back, or all of them",
      "shopbell rule restore lifecycle --yes\nshopbell rule restore --dry-run", rule_options, 0, 1,
      command_rule_restore },
    { "trigger list", "", "when this happens and this holds, ring", "shopbell trigger list", NULL,
      0, 0, command_trigger_list },
    { "trigger show", "NAME", "one trigger, as it can be kept in git",
      "shopbell trigger show tenth_order --json > triggers/tenth_order.json", NULL, 1, 1,
      command_trigger_show },
    { "trigger set", "NAME FILE", "create or replace one trigger",
      "shopbell trigger set tenth_order triggers/tenth_order.json --dry-run\n"
      "echo '{\"when\":{\"event\":\"order.completed\"},\"if\":\"orders.count >= 10\","
      "\"once\":true,\"mode\":\"live\"}' | shopbell trigger set tenth_order -\n"
      "echo '{\"when\":{\"universal\":\"product.back_in_stock\"},"
      "\"audience\":\"interest.waiting\",\"mode\":\"live\"}' | shopbell trigger set back -",
      rule_options, 2, 2, command_trigger_set },
    { "trigger delete", "NAME", "delete a trigger, and what was counted of it",
      "shopbell trigger delete tenth_order --yes", NULL, 1, 1, command_trigger_delete },
    { "trigger pause", "NAME", "let a trigger rest: its causes pass unheard",
      "shopbell trigger pause tenth_order", NULL, 1, 1, command_trigger_pause },
    { "trigger resume", "NAME", "wake a trigger that was paused",
      "shopbell trigger resume tenth_order", NULL, 1, 1, command_trigger_resume },
    { "trigger outcomes", "NAME", "what became of its causes in the last 31 days",
      "shopbell trigger outcomes tenth_order --json", NULL, 1, 1, command_trigger_outcomes },

    { "universal post", "FILE|-", "tell what happens in the world: an event, or a list of them",
      "shopbell universal post storm.json\n"
      "echo '{\"id\": \"storm-1\", \"type\": \"weather.changed\", \"selector\": {\"regions\": "
      "[\"FR-29\"]}, \"properties\": {\"condition\": \"storm\"}}' | shopbell universal post -\n"
      "deploy/cap-alerts https://alerts.example/feed.xml --print | shopbell universal post -",
      universal_post_options, 1, 1, command_universal_post },
    { "universal list", "", "what happened: stock, prices, weather",
      "shopbell universal list --since 2d\n"
      "shopbell universal list --type product.back_in_stock --product 8213868347682 --json",
      universal_list_options, 0, 0, command_universal_list },
    { "universal show", "ID", "one of them",
      "shopbell universal show 9a3b0c1d-77e2-8f10-8c44-d1e2f3a4b5c6", NULL, 1, 1,
      command_universal_show },

    { "quarantine list", "[--source NAME]", "what was signed but not understood",
      "shopbell quarantine list --source atelier", quarantine_list_options, 0, 0,
      command_quarantine_list },
    { "quarantine show", "ID", "one of them, with its body",
      "shopbell quarantine show 0199d2d0-2222-7000-8000-0000000000bb", NULL, 1, 1,
      command_quarantine_show },
    { "quarantine replay", "[ID]", "try again with today's adapter and settings, silently",
      "shopbell quarantine replay --source atelier --since 7d --dry-run\n"
      "shopbell quarantine replay --source atelier --since 7d\n"
      "shopbell quarantine replay 0199d2d0-2222-7000-8000-0000000000bb",
      quarantine_replay_options, 0, 1, command_quarantine_replay },

    { "job list", "", "long work: how far it is", "shopbell job list", NULL, 0, 0,
      command_job_list },
    { "job show", "ID", "one of them", "shopbell job show 0199d2d0-2222-7000-8000-0000000000bb",
      NULL, 1, 1, command_job_show },
    { "job cancel", "ID", "stop it at its next step",
      "shopbell job cancel 0199d2d0-2222-7000-8000-0000000000bb", NULL, 1, 1, command_job_cancel },

    { "subscription create", "NAME --url URL --topic TOPIC", "tell somebody of what happens",
      "shopbell subscription create mailhouse --url https://hooks.mailhouse.example/8841 "
      "--topic lifecycle.changed --topic \"order.*\"\n"
      "shopbell subscription create digest --url https://hooks.mailhouse.example/8841 --topic "
      "order.completed --filter \"event.total >= 100\" --batch-max 100 --batch-wait 1d\n"
      "pass show klaviyo | shopbell subscription create klaviyo --format klaviyo --auth-file - "
      "--topic segment.entered --map \"metric=Shopbell {notification.type}\"\n"
      "shopbell subscription create mailhouse --document mailhouse.json --dry-run",
      subscription_options, 1, 1, command_subscription_create },
    { "subscription list", "", "all of them", "shopbell subscription list", NULL, 0, 0,
      command_subscription_list },
    { "subscription show", "NAME", "one of them", "shopbell subscription show mailhouse", NULL, 1,
      1, command_subscription_show },
    { "subscription update", "NAME", "change it",
      "shopbell subscription update mailhouse --topic \"order.*\" --concurrency 4\n"
      "echo '{\"filter\": null, \"batch\": null}' | shopbell subscription update mailhouse "
      "--document -",
      subscription_options, 1, 1, command_subscription_update },
    { "subscription delete", "NAME", "tell them no more",
      "shopbell subscription delete mailhouse --yes", NULL, 1, 1, command_subscription_delete },
    { "subscription verify", "NAME", "send the challenge, or confirm it",
      "shopbell subscription verify mailhouse\n"
      "shopbell subscription verify mailhouse --challenge 4fK2...",
      subscription_verify_options, 1, 1, command_subscription_verify },
    { "subscription test", "NAME", "send a test message now",
      "shopbell subscription test mailhouse", NULL, 1, 1, command_subscription_test },
    { "subscription pause", "NAME", "send nothing until resumed",
      "shopbell subscription pause mailhouse", NULL, 1, 1, command_subscription_pause },
    { "subscription resume", "NAME", "send again", "shopbell subscription resume mailhouse", NULL,
      1, 1, command_subscription_resume },
    { "subscription rotate-secret", "NAME", "sign with a new secret",
      "shopbell subscription rotate-secret mailhouse --overlap 24h --yes", rotate_options, 1, 1,
      command_subscription_rotate_secret },

    { "subscription stats", "NAME", "success, latency and what waits, over 1h, 24h and 7d",
      "shopbell subscription stats mailhouse\nshopbell subscription stats mailhouse --json", NULL,
      1, 1, command_subscription_stats },

    { "delivery list", "[--subscription NAME]", "what waits to be sent, the longest due first",
      "shopbell delivery list --subscription mailhouse\n"
      "shopbell delivery list --status retrying --topic order.completed --json",
      delivery_list_options, 0, 0, command_delivery_list },
    { "delivery replay", "[ID | --subscription NAME --since INSTANT]",
      "send again what was settled, under the same id",
      "shopbell delivery replay 5f0c2f5e-8a51-8c1e-9b0e-2f8f6b1f4a77\n"
      "shopbell delivery replay 5f0c2f5e-8a51-8c1e-9b0e-2f8f6b1f4a77 --subscription mailhouse\n"
      "shopbell delivery replay --subscription mailhouse --since 2d\n"
      "shopbell delivery replay --subscription mailhouse --since 2026-11-20T00:00:00Z --status all",
      delivery_replay_options, 0, 1, command_delivery_replay },

    { "completion", "bash|zsh", "a script that completes commands",
      "shopbell completion bash > /etc/bash_completion.d/shopbell\n"
      "eval \"$(shopbell completion zsh)\"",
      NULL, 1, 1, command_completion },
    { "version", "", "which one this is", "shopbell version", NULL, 0, 0, command_version },
};

const struct command_table shopbell_commands = {
    .program = "shopbell",
    .summary = "shop webhooks in, customer profiles and notifications out",
    .examples =
        "shopbell serve --embedded ./shopbell-data\n"
        "shopbell workspace create aurora --currency EUR --embedded ./shopbell-data\n"
        "shopbell source create shopify_main --platform shopify --embedded ./shopbell-data\n"
        "shopbell status --embedded ./shopbell-data",
    .commands = command_list,
    .command_count = ARRAY_COUNT(command_list),
    .common = cli_common_options,
    .settings = cli_setting_options,
    .settings_of = "serve",
};
