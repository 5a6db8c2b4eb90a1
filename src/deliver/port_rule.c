#include "deliver/port_rule.h"

#include <string.h>

#include "base/str.h"

/*
 * A POST is bytes that a stranger has a say in, and other services than HTTP
 * listen to bytes: a mail server takes commands line by line and forgives what
 * it does not know, so does Redis.
 *
 * Invariant: without a list from the operator, only 443 and what no system
 * account needs (1024 and above) is called, less the ports on which something
 * else than a web server is at home. With a list, exactly what it names: who
 * writes one knows. The address is judged apart (address_guard); this is the
 * second wall, for a public host that is somebody's database.
 *
 * The ports below are those from 1024 on that browsers refuse, by the Fetch
 * standard's list of bad ports, and those of stores, queues and control planes
 * which are often open without a password. Rejected: 443 and 8443 only, as large
 * senders do; receivers in development live on any port, and one list fits
 * nobody.
 */

static const struct port_range others_at_home[] = {
    { 1433, 1434 },   /* SQL Server */
    { 1521, 1521 },   /* Oracle */
    { 1719, 1720 },   /* H.323 */
    { 1723, 1723 },   /* PPTP */
    { 1883, 1883 },   /* MQTT */
    { 2049, 2049 },   /* NFS */
    { 2375, 2380 },   /* Docker, etcd */
    { 3306, 3306 },   /* MySQL */
    { 3389, 3389 },   /* remote desktop */
    { 3659, 3659 },   /* Apple's SASL */
    { 4045, 4045 },   /* NFS locks */
    { 4190, 4190 },   /* ManageSieve */
    { 4369, 4369 },   /* Erlang's port mapper */
    { 5060, 5061 },   /* SIP */
    { 5432, 5433 },   /* PostgreSQL */
    { 5671, 5672 },   /* AMQP */
    { 5900, 5910 },   /* VNC */
    { 5984, 5984 },   /* CouchDB */
    { 6000, 6063 },   /* X11 */
    { 6379, 6380 },   /* Redis */
    { 6443, 6443 },   /* Kubernetes */
    { 6566, 6566 },   /* SANE */
    { 6660, 6669 },   /* IRC */
    { 6679, 6679 },   /* IRC */
    { 6697, 6697 },   /* IRC */
    { 9042, 9042 },   /* Cassandra */
    { 9092, 9092 },   /* Kafka */
    { 9200, 9200 },   /* Elasticsearch */
    { 9300, 9300 },   /* Elasticsearch */
    { 10080, 10080 }, /* Amanda */
    { 10250, 10250 }, /* kubelet */
    { 11211, 11211 }, /* memcached */
    { 26379, 26379 }, /* Redis sentinel */
    { 27017, 27019 }, /* MongoDB */
};

static bool any_holds(const struct port_range *ranges, size_t count, uint64_t port)
{
    for (size_t i = 0; i < count; i++) {
        if (port >= ranges[i].first && port <= ranges[i].last) {
            return true;
        }
    }
    return false;
}

static bool port_parse(struct str text, uint16_t *out_port)
{
    uint64_t number = 0;
    if (!str_to_u64(text, &number) || number == 0 || number > UINT16_MAX) {
        return false;
    }
    *out_port = (uint16_t)number;
    return true;
}

static bool range_parse(struct str text, struct port_range *out_range)
{
    struct str first = text;
    struct str last = text;
    (void)str_split(text, '-', &first, &last);
    struct port_range range = { 0, 0 };
    if (!port_parse(first, &range.first) || !port_parse(last, &range.last) ||
        range.first > range.last) {
        return false;
    }
    *out_range = range;
    return true;
}

enum status port_rule_init(struct port_rule *rule, const char *allow_ports, bool allow_http,
                           struct problem *problem)
{
    struct port_rule fresh = { .allow_http = allow_http };
    const char *rest = allow_ports == NULL ? "" : allow_ports;
    for (;;) {
        rest += strspn(rest, ", \t\r\n");
        struct str word = { rest, strcspn(rest, ", \t\r\n") };
        if (word.size == 0) {
            break;
        }
        if (fresh.allowed_count == PORT_RULE_RANGES_MAX) {
            return problem_set(problem, STATUS_LIMIT, "limit-reached",
                               "allow_ports may list %d ports and ranges", PORT_RULE_RANGES_MAX);
        }
        if (!range_parse(word, &fresh.allowed[fresh.allowed_count])) {
            return problem_set(problem, STATUS_INVALID, "invalid-field",
                               "\"%.*s\" in allow_ports is neither a port such as 8443 nor a "
                               "range such as 8000-8999",
                               STR_ARG(word));
        }
        fresh.allowed_count++;
        fresh.is_listed = true;
        rest += word.size;
    }
    *rule = fresh;
    return STATUS_OK;
}

bool port_rule_allows(const struct port_rule *rule, uint64_t port)
{
    if (port == 0 || port > UINT16_MAX) {
        return false;
    }
    if (rule->is_listed) {
        return any_holds(rule->allowed, rule->allowed_count, port);
    }
    if (port < 1024) {
        return port == 443 || (port == 80 && rule->allow_http);
    }
    return !any_holds(others_at_home, ARRAY_COUNT(others_at_home), port);
}
