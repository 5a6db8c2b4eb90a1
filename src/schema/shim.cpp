/* A bounded automaton per pattern: libstdc++ takes the limit of its states from here. */
#define _GLIBCXX_REGEX_STATE_LIMIT 1000
/* Else valijson calls abort() at the first bad schema. */
#define VALIJSON_USE_EXCEPTIONS 1

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <exception>
#include <map>
#include <memory>
#include <regex>
#include <set>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "format_priv.h"
#include "shim_priv.h"

/* In this order: valijson gives rapidjson's assertions their meaning. */
/* clang-format off */
#include <valijson/adapters/rapidjson_adapter.hpp>
#include <valijson/schema.hpp>
#include <valijson/schema_parser.hpp>
#include <valijson/validation_results.hpp>
#include <valijson/validation_visitor.hpp>
#include <rapidjson/document.h>
#include <rapidjson/error/en.h>
/* clang-format on */

/*
 * valijson behind a C face.
 *
 * Problem: a schema is a program that a customer of ours wrote, and it runs on
 * the thread that takes webhooks. `{"allOf": [{"$ref": "#"}]}` never ends, two
 * references to the parent double the work with every level, a pattern like
 * (a+)+$ takes the age of the universe, and a C++ exception in a C program ends it.
 *
 * Invariant: what compiles is bounded. The compiled graph is measured before it
 * is taken (struct measure): nothing refers to itself without stepping into the
 * value, no value is visited more often than `visits`, no call stands deeper than
 * `stack`. Patterns run breadth first (libstdc++'s __polynomial: length times
 * states, no recursion over the text, no back references), compiled once. Those of
 * patternProperties meet every name of an object, so they may have no repeated
 * group and two repetitions only, and names are short. Where valijson would match by
 * expressions of its own, which go back and try again, a function here stands in its
 * place. A value is first asked yes or no; only a bad one is judged again to learn
 * what is wrong.
 *
 * Rejected: a step counter at run time (valijson has no place for one);
 * references to other documents (nothing is fetched because an event came).
 */

using rapidjson::Value;
using valijson::Subschema;
using valijson::adapters::RapidJsonAdapter;
using visitor = valijson::ValidationVisitor<RapidJsonAdapter>;
using regexes = std::unordered_map<std::string, std::regex>;

/* --- what valijson does of itself, and may not ----------------------------- */

namespace valijson
{

/* Of what is no text no format says anything. */
template <> bool ValidationVisitor<RapidJsonAdapter>::visit(const FormatConstraint &constraint)
{
    if (!m_target.isString()) {
        return true;
    }
    const std::string text = m_target.asString();
    const char *fault = format_fault(constraint.getFormat().c_str(), text.data(), text.size());
    if (fault != nullptr && m_results != nullptr) {
        m_results->pushError(m_context, fault);
    }
    return fault == nullptr;
}

/* Of a name, which is told of as its object is. */
template <>
bool ValidationVisitor<adapters::StdStringAdapter>::visit(const FormatConstraint &constraint)
{
    const std::string text = m_target.asString();
    return format_fault(constraint.getFormat().c_str(), text.data(), text.size()) == nullptr;
}

/* Matches names by the patterns that were compiled with the schema; the one caller
 * goes on until a value is wrong. */
template <>
template <typename text_type>
bool ValidationVisitor<RapidJsonAdapter>::ValidatePatternPropertySubschemas::operator()(
    const text_type &pattern, const Subschema *subschema) const
{
    const std::regex &regex = m_regexesCache.at(pattern.c_str());
    for (const RapidJsonAdapter::ObjectMember member : m_object) {
        if (!std::regex_search(member.first, regex)) {
            continue;
        }
        m_propertiesMatched->insert(member.first);
        std::vector<std::string> context = m_context;
        context.push_back("[" + member.first + "]");
        ValidationVisitor judge_of(member.second, context, m_strictTypes, m_results,
                                   m_regexesCache);
        if (judge_of.validateSchema(*subschema)) {
            continue;
        }
        if (m_results != nullptr) {
            m_results->pushError(m_context, std::string("Failed to validate against schema "
                                                        "associated with pattern '") +
                                                pattern.c_str() + "'.");
        }
        *m_validated = false;
        return false;
    }
    return true;
}

} // namespace valijson

namespace
{

constexpr unsigned PARSE_FLAGS = rapidjson::kParseIterativeFlag |
                                 rapidjson::kParseFullPrecisionFlag |
                                 rapidjson::kParseValidateEncodingFlag;

/* --- the graph of subschemas ---------------------------------------------- */

using targets = std::vector<const Subschema *>;

/* What a subschema hands on. */
struct node {
    targets here;               /* the same value */
    std::vector<targets> below; /* a part of it; each list: one of them */
};

/* Called with a number or a name, which do not matter here. */
struct adder {
    targets &to;
    template <typename key> bool operator()(const key &, const Subschema *subschema) const
    {
        if (subschema != nullptr) {
            to.push_back(subschema);
        }
        return true;
    }
};

/* What the walkers found is read straight from them.
 * NOLINTBEGIN(misc-non-private-member-variables-in-classes) */

/* Collects one subschema's edges, and what its patterns and flags are. */
class edges : public valijson::constraints::ConstraintVisitor
{
  public:
    node found;
    std::set<std::string> patterns;
    std::set<std::string> name_patterns;
    bool is_unique = false;
    size_t enum_values = 0;

    bool visit(const AllOfConstraint &c) override
    {
        c.applyToSubschemas(adder{ found.here });
        return true;
    }
    bool visit(const AnyOfConstraint &c) override
    {
        c.applyToSubschemas(adder{ found.here });
        return true;
    }
    bool visit(const OneOfConstraint &c) override
    {
        c.applyToSubschemas(adder{ found.here });
        return true;
    }
    bool visit(const TypeConstraint &c) override
    {
        c.applyToSchemaTypes(adder{ found.here });
        return true;
    }
    bool visit(const NotConstraint &c) override
    {
        add(found.here, c.getSubschema());
        return true;
    }
    bool visit(const ConditionalConstraint &c) override
    {
        add(found.here, c.getIfSubschema());
        add(found.here, c.getThenSubschema());
        add(found.here, c.getElseSubschema());
        return true;
    }
    bool visit(const DependenciesConstraint &c) override
    {
        c.applyToSchemaDependencies(adder{ found.here });
        return true;
    }
    bool visit(const ContainsConstraint &c) override
    {
        add_below(c.getSubschema());
        return true;
    }
    bool visit(const PropertyNamesConstraint &c) override
    {
        add_below(c.getSubschema());
        return true;
    }
    bool visit(const SingularItemsConstraint &c) override
    {
        add_below(c.getItemsSubschema());
        return true;
    }
    bool visit(const LinearItemsConstraint &c) override
    {
        targets one;
        c.applyToItemSubschemas(adder{ one });
        add(one, c.getAdditionalItemsSubschema());
        found.below.push_back(one);
        return true;
    }
    bool visit(const PropertiesConstraint &c) override
    {
        targets one;
        c.applyToProperties(adder{ one });
        add(one, c.getAdditionalPropertiesSubschema());
        found.below.push_back(one);
        c.applyToPatternProperties([this](const auto &pattern, const Subschema *subschema) {
            name_patterns.insert(pattern.c_str());
            add_below(subschema);
            return true;
        });
        return true;
    }
    bool visit(const PatternConstraint &c) override
    {
        patterns.insert(c.getPattern<std::string::allocator_type>());
        return true;
    }
    bool visit(const UniqueItemsConstraint &) override
    {
        is_unique = true;
        return true;
    }
    bool visit(const EnumConstraint &c) override
    {
        c.applyToValues([this](const valijson::adapters::FrozenValue &) {
            enum_values++;
            return true;
        });
        return true;
    }
    bool visit(const ConstConstraint &) override
    {
        return true;
    }
    bool visit(const FormatConstraint &) override
    {
        return true;
    }
    bool visit(const MaximumConstraint &) override
    {
        return true;
    }
    bool visit(const MaxItemsConstraint &) override
    {
        return true;
    }
    bool visit(const MaxLengthConstraint &) override
    {
        return true;
    }
    bool visit(const MaxPropertiesConstraint &) override
    {
        return true;
    }
    bool visit(const MinimumConstraint &) override
    {
        return true;
    }
    bool visit(const MinItemsConstraint &) override
    {
        return true;
    }
    bool visit(const MinLengthConstraint &) override
    {
        return true;
    }
    bool visit(const MinPropertiesConstraint &) override
    {
        return true;
    }
    bool visit(const MultipleOfDoubleConstraint &) override
    {
        return true;
    }
    bool visit(const MultipleOfIntConstraint &) override
    {
        return true;
    }
    bool visit(const PolyConstraint &) override
    {
        return true;
    }
    bool visit(const RequiredConstraint &) override
    {
        return true;
    }

  private:
    static void add(targets &to, const Subschema *subschema)
    {
        if (subschema != nullptr) {
            to.push_back(subschema);
        }
    }
    void add_below(const Subschema *subschema)
    {
        found.below.emplace_back();
        add(found.below.back(), subschema);
    }
};

/* How often and how deep, for every subschema and every level below it. */
class measure
{
  public:
    std::set<std::string> patterns;
    std::set<std::string> name_patterns;
    bool is_unique = false;

    explicit measure(const shim_limits &the_limits) : limits(the_limits)
    {
    }

    void take(const Subschema &root)
    {
        collect(root);
        for (const auto &[subschema, unused] : nodes) {
            (void)unused;
            check_circle(subschema);
        }
        for (size_t depth = 0; depth <= limits.depth; depth++) {
            cost worst = at(&root, depth);
            if (worst.visits > limits.visits || worst.stack > limits.stack) {
                throw std::runtime_error(
                    "more than " + std::to_string(limits.visits) +
                    " of its parts apply to one value, or they stand too deep in each other");
            }
        }
    }

  private:
    struct cost {
        size_t visits;
        size_t stack;
    };
    enum class mark {
        UNSEEN,
        OPEN,
        CLOSED
    };

    const shim_limits &limits;
    std::map<const Subschema *, node> nodes;
    std::map<const Subschema *, mark> marks;
    std::map<std::pair<const Subschema *, size_t>, cost> known;

    void collect(const Subschema &root)
    {
        targets open{ &root };
        while (!open.empty()) {
            const Subschema *subschema = open.back();
            open.pop_back();
            if (nodes.count(subschema) > 0) {
                continue;
            }
            edges seen;
            Subschema::ApplyFunction look = [&seen](const valijson::constraints::Constraint &c) {
                return c.accept(seen);
            };
            (void)subschema->apply(look);
            if (seen.enum_values > limits.enum_values) {
                throw std::runtime_error("an enum has at most " +
                                         std::to_string(limits.enum_values) + " values");
            }
            patterns.insert(seen.patterns.begin(), seen.patterns.end());
            name_patterns.insert(seen.name_patterns.begin(), seen.name_patterns.end());
            is_unique = is_unique || seen.is_unique;
            open.insert(open.end(), seen.found.here.begin(), seen.found.here.end());
            for (const targets &one : seen.found.below) {
                open.insert(open.end(), one.begin(), one.end());
            }
            nodes.emplace(subschema, std::move(seen.found));
        }
    }

    void check_circle(const Subschema *subschema)
    {
        mark &own = marks[subschema];
        if (own == mark::OPEN) {
            throw std::runtime_error("a reference leads back to itself without stepping into the "
                                     "value");
        }
        if (own == mark::UNSEEN) {
            own = mark::OPEN;
            for (const Subschema *next : nodes.at(subschema).here) {
                check_circle(next);
            }
            marks[subschema] = mark::CLOSED;
        }
    }

    /* Saturates far above every limit. */
    static size_t sum(size_t a, size_t b)
    {
        return std::min<size_t>(a + b, 1u << 30);
    }

    /* Evaluations of a value `depth` levels below one that `subschema` judges. */
    cost at(const Subschema *subschema, size_t depth)
    {
        const auto key = std::make_pair(subschema, depth);
        const auto found = known.find(key);
        if (found != known.end()) {
            return found->second;
        }
        const node &own = nodes.at(subschema);
        cost total{ depth == 0 ? 1u : 0u, 0 };
        for (const Subschema *next : own.here) {
            cost one = at(next, depth);
            total.visits = sum(total.visits, one.visits);
            total.stack = std::max(total.stack, one.stack);
        }
        for (const targets &list : own.below) {
            size_t most = 0;
            for (const Subschema *next : list) {
                cost one = depth > 0 ? at(next, depth - 1) : cost{ 0, 0 };
                most = std::max(most, one.visits);
                total.stack = std::max(total.stack, one.stack);
            }
            total.visits = sum(total.visits, most);
        }
        total.stack = sum(total.stack, 1);
        known.emplace(key, total);
        return total;
    }
};

/* NOLINTEND(misc-non-private-member-variables-in-classes) */

/* --- patterns ------------------------------------------------------------- */

/* Repetitions of a pattern, and whether one of them repeats a group. */
struct repetitions {
    size_t count = 0;
    bool is_of_group = false;
};

repetitions repetitions_of(const std::string &pattern)
{
    repetitions found;
    bool in_class = false;
    char last = '\0';
    for (size_t i = 0; i < pattern.size(); i++) {
        char c = pattern[i];
        if (c == '\\') {
            i++;
            last = '\\';
            continue;
        }
        if (in_class) {
            in_class = c != ']';
        } else if (c == '[') {
            in_class = true;
        } else if ((c == '*' || c == '+' || c == '{' || c == '?') && last != '(') {
            found.count += c == '?' && (last == '*' || last == '+' || last == '}') ? 0 : 1;
            found.is_of_group = found.is_of_group || last == ')';
        }
        last = c;
    }
    return found;
}

/* Those that meet every name. */
void check_name_pattern(const std::string &pattern)
{
    repetitions found = repetitions_of(pattern);
    if (found.is_of_group || found.count > 2) {
        throw std::runtime_error("a pattern of patternProperties repeats no group, and at most two "
                                 "single characters or classes: " +
                                 pattern);
    }
}

std::regex compile_pattern(const std::string &pattern, const shim_limits &limits)
{
    if (pattern.size() > limits.pattern_bytes) {
        throw std::runtime_error("a pattern has at most " + std::to_string(limits.pattern_bytes) +
                                 " bytes");
    }
    try {
        return std::regex(pattern, std::regex::ECMAScript | std::regex_constants::__polynomial);
    } catch (const std::regex_error &) {
        throw std::runtime_error("not a regular expression that can be matched in bounded time: " +
                                 pattern);
    }
}

/* --- documents ------------------------------------------------------------ */

/* Nesting by brackets outside of texts: before any parser sees it. */
size_t depth_of(const char *data, size_t size)
{
    size_t depth = 0;
    size_t deepest = 0;
    bool in_text = false;
    for (size_t i = 0; i < size; i++) {
        char c = data[i];
        if (in_text) {
            i += c == '\\' ? 1 : 0;
            in_text = c != '"';
        } else if (c == '"') {
            in_text = true;
        } else if (c == '{' || c == '[') {
            deepest = std::max(deepest, ++depth);
        } else if ((c == '}' || c == ']') && depth > 0) {
            depth--;
        }
    }
    return deepest;
}

/* Where in the document valijson takes a reference to lead: what stands before the
 * '#' it overlooks, but for addresses, which it refuses. Nothing: nowhere. */
std::unique_ptr<RapidJsonAdapter> step(const RapidJsonAdapter &root, const RapidJsonAdapter &from)
{
    std::string text;
    if (!from.isObject()) {
        return nullptr;
    }
    const RapidJsonAdapter::Object object = from.getObject();
    const auto member = object.find("$ref");
    if (member == object.end() || !member->second.getString(text)) {
        return nullptr;
    }
    const size_t hash = std::min(text.find('#'), text.size());
    if (text.find("://") < hash) {
        return nullptr;
    }
    text.erase(0, hash + 1);
    text.erase(text.find_last_not_of('/') + 1);
    try {
        return std::make_unique<RapidJsonAdapter>(
            valijson::internal::json_pointer::resolveJsonPointer(root, text));
    } catch (const std::exception &) {
        return nullptr;
    }
}

/* A chain of references that come to no schema would keep the parser busy for ever. */
void check_chain(const RapidJsonAdapter &root, const RapidJsonAdapter &from, size_t steps)
{
    const std::unique_ptr<RapidJsonAdapter> next = step(root, from);
    if (!next) {
        return;
    }
    if (steps == 0) {
        throw std::runtime_error("the references lead in a circle");
    }
    check_chain(root, *next, steps - 1);
}

void check_references(const Value &root, const Value &value, const shim_limits &limits)
{
    check_chain(RapidJsonAdapter(root), RapidJsonAdapter(value), limits.depth);
    if (value.IsObject()) {
        for (const auto &member : value.GetObject()) {
            check_references(root, member.value, limits);
        }
    } else if (value.IsArray()) {
        for (const auto &item : value.GetArray()) {
            check_references(root, item, limits);
        }
    }
}

/* --- violations ----------------------------------------------------------- */

/* "<root>", "[items]", "[3]" -> "/items/3" */
std::string pointer_of(const std::vector<std::string> &context)
{
    std::string pointer;
    for (size_t i = 1; i < context.size(); i++) {
        const std::string &step = context[i];
        bool is_wrapped = step.size() >= 2 && step.front() == '[' && step.back() == ']';
        pointer += '/';
        for (char c : is_wrapped ? step.substr(1, step.size() - 2) : step) {
            if (c == '~') {
                pointer += "~0";
            } else if (c == '/') {
                pointer += "~1";
            } else {
                pointer += c;
            }
        }
    }
    return pointer;
}

/* Says no more than that a part of it, told before, is wrong. */
bool is_echo(const std::string &what)
{
    static const char *const begins[] = { "Failed to validate against schema associated with",
                                          "Failed to validate item #",
                                          "Failed to validate against additional properties" };
    return std::any_of(std::begin(begins), std::end(begins),
                       [&what](const char *begin) { return what.rfind(begin, 0) == 0; });
}

bool has_part(const std::vector<std::string> &pointers, const std::string &pointer)
{
    return std::any_of(pointers.begin(), pointers.end(), [&pointer](const std::string &told) {
        return told.size() > pointer.size() && told.compare(0, pointer.size(), pointer) == 0 &&
               told[pointer.size()] == '/';
    });
}

} // namespace

struct shim {
    valijson::Schema schema;
    regexes patterns;
    shim_limits limits;
    bool has_patterns = false; /* of texts */
    bool has_name_patterns = false;
    bool is_unique = false;
};

namespace
{

/* What cannot be judged in bounded time is called wrong. */
bool find_excess(const shim &own, const Value &value, std::vector<std::string> &context,
                 valijson::ValidationResults &results)
{
    bool found = false;
    if (value.IsString() && own.has_patterns &&
        value.GetStringLength() > own.limits.subject_bytes) {
        results.pushError(context, "The text is too long for a schema with patterns.");
        return true;
    }
    if (value.IsArray()) {
        if (own.is_unique && value.Size() > own.limits.unique_items) {
            results.pushError(context, "The array is too long for a schema with uniqueItems.");
            return true;
        }
        for (rapidjson::SizeType i = 0; i < value.Size(); i++) {
            context.push_back("[" + std::to_string(i) + "]");
            found = find_excess(own, value[i], context, results) || found;
            context.pop_back();
        }
    } else if (value.IsObject()) {
        for (const auto &member : value.GetObject()) {
            size_t size = member.name.GetStringLength();
            context.push_back("[" + std::string(member.name.GetString(), size) + "]");
            if ((own.has_name_patterns && size > own.limits.name_bytes) ||
                (own.has_patterns && size > own.limits.subject_bytes)) {
                results.pushError(context, "The name is too long for a schema with patterns.");
                found = true;
            }
            found = find_excess(own, member.value, context, results) || found;
            context.pop_back();
        }
    }
    return found;
}

bool is_bounded_by_itself(const shim &own)
{
    return !own.has_patterns && !own.has_name_patterns && !own.is_unique;
}

bool judge(const shim &own, const Value &value, valijson::ValidationResults *results)
{
    /* Only looked up: every pattern of the schema is in it. */
    regexes &patterns = const_cast<regexes &>(own.patterns);
    visitor judge_of(RapidJsonAdapter(value), std::vector<std::string>(1, "<root>"), true, results,
                     patterns);
    return judge_of.validateSchema(own.schema);
}

void tell_all(valijson::ValidationResults &results, shim_tell_fn *tell, void *user)
{
    static const char *const unsaid = "The value is not allowed here.";
    std::vector<std::string> pointers;
    valijson::ValidationResults::Error error;
    while (results.popError(error)) {
        std::string pointer = pointer_of(error.context);
        if (is_echo(error.description) && has_part(pointers, pointer)) {
            continue;
        }
        pointers.push_back(pointer);
        if (tell(user, pointer.data(), pointer.size(), error.description.data(),
                 error.description.size()) == 0) {
            return;
        }
    }
    if (pointers.empty()) {
        (void)tell(user, "", 0, unsaid, strlen(unsaid));
    }
}

shim *compile(const char *data, size_t size, const shim_limits &limits)
{
    if (depth_of(data, size) > limits.depth) {
        throw std::runtime_error("it is nested deeper than " + std::to_string(limits.depth));
    }
    rapidjson::Document document;
    document.Parse<PARSE_FLAGS>(data, size);
    if (document.HasParseError()) {
        throw std::runtime_error(rapidjson::GetParseError_En(document.GetParseError()));
    }
    if (!document.IsObject() && !document.IsBool()) {
        throw std::runtime_error("a schema is an object, or true or false");
    }
    check_references(document, document, limits);
    auto own = std::make_unique<shim>();
    own->limits = limits;
    valijson::SchemaParser parser(valijson::SchemaParser::kDraft7);
    parser.populateSchema(RapidJsonAdapter(document), own->schema);
    measure measured(own->limits);
    measured.take(own->schema);
    for (const std::string &pattern : measured.patterns) {
        own->patterns.emplace(pattern, compile_pattern(pattern, limits));
    }
    for (const std::string &pattern : measured.name_patterns) {
        check_name_pattern(pattern);
        own->patterns.emplace(pattern, compile_pattern(pattern, limits));
    }
    own->has_patterns = !measured.patterns.empty();
    own->has_name_patterns = !measured.name_patterns.empty();
    own->is_unique = measured.is_unique;
    return own.release();
}

} // namespace

shim *shim_compile(const char *data, size_t size, const shim_limits *limits, char *why,
                   size_t why_size)
{
    try {
        return compile(data, size, *limits);
    } catch (const std::exception &e) {
        (void)snprintf(why, why_size, "%s", e.what());
    } catch (...) {
        (void)snprintf(why, why_size, "it cannot be compiled");
    }
    return nullptr;
}

void shim_free(shim *shim)
{
    delete shim;
}

shim_verdict shim_check(const struct shim *shim, const char *data, size_t size, shim_tell_fn *tell,
                        void *user)
{
    try {
        rapidjson::Document document;
        if (depth_of(data, size) > shim->limits.depth ||
            document.Parse<PARSE_FLAGS>(data, size).HasParseError()) {
            return SHIM_FAILED;
        }
        valijson::ValidationResults results;
        std::vector<std::string> context(1, "<root>");
        bool is_excess =
            !is_bounded_by_itself(*shim) && find_excess(*shim, document, context, results);
        if (!is_excess && judge(*shim, document, nullptr)) {
            return SHIM_VALID;
        }
        if (!is_excess) {
            (void)judge(*shim, document, &results);
        }
        tell_all(results, tell, user);
        return SHIM_INVALID;
    } catch (...) {
        return SHIM_FAILED;
    }
}
