#include <stddef.h>

#include "indicator_priv.h"

/*
 * Engagement: how much mail was opened and clicked lately, and until when that
 * stays above a line.
 *
 * An open is 1 point, a click 3; both halve every 14 days. Points are counted in
 * millionths, each act on its own, and summed as integers, so the score is the
 * same on every machine and in every order (correctness 24). A table gives
 * 2^(-i/224) for each 90 minutes of a half-life, in 10^-12:
 *
 *     DECAY[i] = round(10^12 * 2^(-i/224)), computed with 60 decimal digits
 *
 * Between two entries the line is straight, a half-life halves by a shift, and
 * an act's share is rounded half up to millionths: each step keeps the order, so
 * the score never rises as time goes by, and bisection finds the one millisecond
 * at which it crosses a line. Against 2^(-age/14 d) an open errs by at most 1.7
 * millionths, a click by 4.1 (measured over 44,000 ages); after 22.6 half-lives
 * nothing is left of a click.
 *
 * An act after the instant asked about (a clock that is 250 ms ahead) counts as
 * one of that instant. Rejected: exp2() (differs between C libraries), and a
 * running sum (60 events in 2,000 orders of arrival gave 8 sums).
 */

#define HALF_LIFE_MS (14 * INSTANT_DAY_MS)
#define STEP_MS (90 * INSTANT_MINUTE_MS)
#define DECAY_PER_MILLIONTH INT64_C(1000000)
#define POINT INT64_C(1000000)

enum {
    STEP_COUNT = 224,
    HALF_LIVES_MAX = 40, /* 2^-40 of 3 points is nothing */
    POINTS_OF_OPEN = 1,
    POINTS_OF_CLICK = 3,
    POINTS_OF_HIGH = 10,
    POINTS_OF_MEDIUM = 3,
};

_Static_assert(STEP_COUNT *STEP_MS == HALF_LIFE_MS, "the table spans one half-life");

/* clang-format off */
static const int64_t DECAY[STEP_COUNT + 1] = {
    INT64_C(1000000000000), INT64_C(996910375687), INT64_C(993830297152), INT64_C(990759734903),
    INT64_C(987698659538), INT64_C(984647041745), INT64_C(981604852305), INT64_C(978572062088),
    INT64_C(975548642053), INT64_C(972534563249), INT64_C(969529796818), INT64_C(966534313985),
    INT64_C(963548086069), INT64_C(960571084476), INT64_C(957603280699), INT64_C(954644646320),
    INT64_C(951695153011), INT64_C(948754772527), INT64_C(945823476715), INT64_C(942901237505),
    INT64_C(939988026917), INT64_C(937083817055), INT64_C(934188580111), INT64_C(931302288360),
    INT64_C(928424914168), INT64_C(925556429980), INT64_C(922696808331), INT64_C(919846021838),
    INT64_C(917004043205), INT64_C(914170845218), INT64_C(911346400748), INT64_C(908530682751),
    INT64_C(905723664264), INT64_C(902925318410), INT64_C(900135618393), INT64_C(897354537502),
    INT64_C(894582049105), INT64_C(891818126656), INT64_C(889062743689), INT64_C(886315873820),
    INT64_C(883577490748), INT64_C(880847568250), INT64_C(878126080187), INT64_C(875413000499),
    INT64_C(872708303209), INT64_C(870011962417), INT64_C(867323952305), INT64_C(864644247135),
    INT64_C(861972821247), INT64_C(859309649061), INT64_C(856654705077), INT64_C(854007963872),
    INT64_C(851369400104), INT64_C(848738988506), INT64_C(846116703891), INT64_C(843502521151),
    INT64_C(840896415254), INT64_C(838298361244), INT64_C(835708334246), INT64_C(833126309458),
    INT64_C(830552262156), INT64_C(827986167694), INT64_C(825428001499), INT64_C(822877739077),
    INT64_C(820335356008), INT64_C(817800827947), INT64_C(815274130626), INT64_C(812755239850),
    INT64_C(810244131500), INT64_C(807740781532), INT64_C(805245165975), INT64_C(802757260932),
    INT64_C(800277042581), INT64_C(797804487173), INT64_C(795339571032), INT64_C(792882270557),
    INT64_C(790432562216), INT64_C(787990422554), INT64_C(785555828186), INT64_C(783128755800),
    INT64_C(780709182156), INT64_C(778297084085), INT64_C(775892438491), INT64_C(773495222349),
    INT64_C(771105412704), INT64_C(768722986673), INT64_C(766347921443), INT64_C(763980194273),
    INT64_C(761619782490), INT64_C(759266663493), INT64_C(756920814749), INT64_C(754582213797),
    INT64_C(752250838243), INT64_C(749926665763), INT64_C(747609674104), INT64_C(745299841078),
    INT64_C(742997144568), INT64_C(740701562526), INT64_C(738413072970), INT64_C(736131653986),
    INT64_C(733857283731), INT64_C(731589940424), INT64_C(729329602357), INT64_C(727076247886),
    INT64_C(724829855433), INT64_C(722590403489), INT64_C(720357870610), INT64_C(718132235418),
    INT64_C(715913476604), INT64_C(713701572920), INT64_C(711496503188), INT64_C(709298246294),
    INT64_C(707106781187), INT64_C(704922086883), INT64_C(702744142465), INT64_C(700572927077),
    INT64_C(698408419928), INT64_C(696250600293), INT64_C(694099447511), INT64_C(691954940982),
    INT64_C(689817060173), INT64_C(687685784612), INT64_C(685561093892), INT64_C(683442967668),
    INT64_C(681331385659), INT64_C(679226327644), INT64_C(677127773468), INT64_C(675035703036),
    INT64_C(672950096316), INT64_C(670870933337), INT64_C(668798194191), INT64_C(666731859029),
    INT64_C(664671908067), INT64_C(662618321580), INT64_C(660571079903), INT64_C(658530163434),
    INT64_C(656495552630), INT64_C(654467228010), INT64_C(652445170150), INT64_C(650429359689),
    INT64_C(648419777326), INT64_C(646416403816), INT64_C(644419219979), INT64_C(642428206689),
    INT64_C(640443344882), INT64_C(638464615553), INT64_C(636491999753), INT64_C(634525478596),
    INT64_C(632565033250), INT64_C(630610644944), INT64_C(628662294963), INT64_C(626719964652),
    INT64_C(624783635411), INT64_C(622853288701), INT64_C(620928906037), INT64_C(619010468992),
    INT64_C(617097959197), INT64_C(615191358339), INT64_C(613290648161), INT64_C(611395810463),
    INT64_C(609506827102), INT64_C(607623679990), INT64_C(605746351095), INT64_C(603874822441),
    INT64_C(602009076108), INT64_C(600149094230), INT64_C(598294858997), INT64_C(596446352654),
    INT64_C(594603557501), INT64_C(592766455893), INT64_C(590935030239), INT64_C(589109263002),
    INT64_C(587289136700), INT64_C(585474633905), INT64_C(583665737241), INT64_C(581862429389),
    INT64_C(580064693080), INT64_C(578272511101), INT64_C(576485866291), INT64_C(574704741543),
    INT64_C(572929119800), INT64_C(571158984062), INT64_C(569394317378), INT64_C(567635102852),
    INT64_C(565881323637), INT64_C(564132962941), INT64_C(562390004023), INT64_C(560652430193),
    INT64_C(558920224814), INT64_C(557193371298), INT64_C(555471853111), INT64_C(553755653768),
    INT64_C(552044756837), INT64_C(550339145934), INT64_C(548638804729), INT64_C(546943716938),
    INT64_C(545253866333), INT64_C(543569236730), INT64_C(541889812001), INT64_C(540215576063),
    INT64_C(538546512884), INT64_C(536882606485), INT64_C(535223840930), INT64_C(533570200338),
    INT64_C(531921668875), INT64_C(530278230754), INT64_C(528639870239), INT64_C(527006571644),
    INT64_C(525378319327), INT64_C(523755097698), INT64_C(522136891214), INT64_C(520523684380),
    INT64_C(518915461749), INT64_C(517312207922), INT64_C(515713907547), INT64_C(514120545320),
    INT64_C(512532105983), INT64_C(510948574327), INT64_C(509369935189), INT64_C(507796173453),
    INT64_C(506227274049), INT64_C(504663221956), INT64_C(503104002195), INT64_C(501549599838),
    INT64_C(500000000000),
};
/* clang-format on */

static int64_t act_share(const struct indicator_act *act, int64_t at_ms)
{
    int64_t age_ms = at_ms > act->at_ms ? at_ms - act->at_ms : 0;
    int64_t half_lives = age_ms / HALF_LIFE_MS;
    if (half_lives >= HALF_LIVES_MAX) {
        return 0;
    }
    int64_t into_ms = age_ms % HALF_LIFE_MS;
    size_t step = (size_t)(into_ms / STEP_MS);
    int64_t drop = (DECAY[step] - DECAY[step + 1]) * (into_ms % STEP_MS) / STEP_MS;
    int64_t decay = (DECAY[step] - drop) >> half_lives;
    int64_t points = act->is_click ? POINTS_OF_CLICK : POINTS_OF_OPEN;
    return (points * decay + DECAY_PER_MILLIONTH / 2) / DECAY_PER_MILLIONTH;
}

bool engagement_score(const struct indicators *indicators, int64_t at_ms, int64_t *out_score)
{
    if (indicators->act_count == 0) {
        return false;
    }
    int64_t score = 0;
    for (size_t i = 0; i < indicators->act_count; i++) {
        score += act_share(&indicators->acts[i], at_ms);
    }
    *out_score = score;
    return true;
}

static bool is_above(const struct indicators *indicators, int64_t at_ms, int64_t threshold,
                     bool or_equal)
{
    int64_t score = 0;
    return engagement_score(indicators, at_ms, &score) &&
           (or_equal ? score >= threshold : score > threshold);
}

int64_t engagement_crossing(const struct indicators *indicators, int64_t at_ms, int64_t threshold,
                            bool or_equal)
{
    bool stays_above = or_equal ? threshold <= 0 : threshold < 0;
    if (stays_above || at_ms > INDICATOR_AT_MAX ||
        !is_above(indicators, at_ms, threshold, or_equal)) {
        return INSTANT_NEVER;
    }
    int64_t newest_ms = indicators->acts[0].at_ms;
    int64_t above_ms = at_ms;
    int64_t below_ms = (at_ms > newest_ms ? at_ms : newest_ms) + HALF_LIVES_MAX * HALF_LIFE_MS;
    while (below_ms - above_ms > 1) {
        int64_t middle_ms = above_ms + (below_ms - above_ms) / 2;
        if (is_above(indicators, middle_ms, threshold, or_equal)) {
            above_ms = middle_ms;
        } else {
            below_ms = middle_ms;
        }
    }
    return below_ms;
}

const char *engagement_level(const struct indicators *indicators, int64_t at_ms,
                             int64_t *out_until_ms)
{
    static const struct {
        const char *name;
        int64_t threshold;
    } LEVELS[] = {
        { "high", POINTS_OF_HIGH * POINT },
        { "medium", POINTS_OF_MEDIUM * POINT },
        { "low", 0 },
    };
    int64_t score = 0;
    const char *name = NULL;
    int64_t until_ms = INSTANT_NEVER;
    if (engagement_score(indicators, at_ms, &score)) {
        size_t level = 0;
        while (score < LEVELS[level].threshold) {
            level++;
        }
        name = LEVELS[level].name;
        if (out_until_ms != NULL) {
            until_ms = engagement_crossing(indicators, at_ms, LEVELS[level].threshold, true);
        }
    }
    if (out_until_ms != NULL) {
        *out_until_ms = until_ms;
    }
    return name;
}
