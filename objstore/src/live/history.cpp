#include "objstore/live/history.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>

#include "base/codec.hpp"
#include "base/error.hpp"
#include "live/keep_version.hpp"
#include "objstore/error.hpp"
#include "volume/forest.hpp"
#include "volume/forest_edit.hpp"

namespace objstore {
namespace {

using archive::LocalTime;
using archive::Span;

constexpr std::uint8_t kFormat = 1;
constexpr int kMaxSpan = 100'000;  // of each unit, as parse_span() has it
constexpr TreeKey kPolicyKey{.inode = 0, .kind = Kind::policy};

constexpr std::array kCounts{&HistoryPolicy::last,   &HistoryPolicy::hourly,  &HistoryPolicy::daily,
                             &HistoryPolicy::weekly, &HistoryPolicy::monthly, &HistoryPolicy::yearly};
constexpr std::array kSpans{&HistoryPolicy::within,         &HistoryPolicy::within_hourly,
                            &HistoryPolicy::within_daily,   &HistoryPolicy::within_weekly,
                            &HistoryPolicy::within_monthly, &HistoryPolicy::within_yearly};
constexpr std::array kUnits{&Span::years, &Span::months, &Span::days, &Span::hours};

LocalTime utc(std::int64_t ns) {
    using namespace std::chrono;  // NOLINT: a calendar's words
    const sys_time<nanoseconds> moment{nanoseconds{ns}};
    const auto date = floor<days>(moment);
    const year_month_day calendar{date};
    const hh_mm_ss clock{moment - date};
    return {int{calendar.year()},
            unsigned{calendar.month()},
            unsigned{calendar.day()},
            static_cast<unsigned>(clock.hours().count()),
            static_cast<unsigned>(clock.minutes().count()),
            static_cast<unsigned>(clock.seconds().count()),
            static_cast<std::uint32_t>(clock.subseconds().count())};
}

/// At most so many hours, days, weeks, months or years begin in a span.
std::int64_t most_within(const Span& span, std::int64_t bucket_hours) {
    if (span.empty()) return 0;
    const auto days = std::int64_t{span.years} * 366 + std::int64_t{span.months} * 31 + span.days;
    return (days * 24 + span.hours) / bucket_hours + 2;
}

TreeKey version_key(std::int64_t time_ns) {
    auto key = TreeKey::first(0, Kind::version);
    key.sub = static_cast<std::uint64_t>(time_ns);
    return key;
}

std::int64_t time_of(const TreeKey& key) { return static_cast<std::int64_t>(key.sub); }

struct Listed {
    std::optional<HistoryPolicy> policy;  // nullopt: of a later version
    std::vector<Item> versions;           // the oldest first
};

base::Error damaged(const BlockRef& forest, const base::Error& error) {
    return {Errc::damaged, "forest " + forest.id.hex() + ": " + error.detail()};
}

/// Of the forest's items; those of other kinds are passed over.
base::Result<Listed> listed_in(std::vector<Item> items, const BlockRef& forest) {
    Listed out;
    out.policy = default_history_policy();
    for (auto& item : items) {
        if (item.key.kind == Kind::version) {
            out.versions.push_back(std::move(item));
        } else if (item.key == kPolicyKey) {
            auto policy = decode_history_policy(std::get<Opaque>(item.value));
            if (!policy && !(policy.error() == base::Errc::unsupported)) return damaged(forest, policy.error());
            out.policy = policy ? std::optional{std::move(*policy)} : std::nullopt;
        }
    }
    return out;
}

base::Task<base::Result<Listed>> read_listed(Tree forest) {
    BASE_CO_TRY(auto items, co_await forest.range(TreeKey::first(0, Kind::version), TreeKey::behind(0, Kind::policy)));
    co_return listed_in(std::move(items), *forest.root());
}

/// Off the list with what the policy does not keep. `times_ns`: the newest first; the first stays whatever it is.
void erase_others(const HistoryPolicy& policy, const std::vector<std::int64_t>& times_ns,
                  const std::vector<Item>& listed, ForestEdit& edit) {
    const auto stays = versions_to_keep(policy, times_ns);
    for (const auto& item : listed) {
        const auto at = std::ranges::find(times_ns, time_of(item.key)) - times_ns.begin();
        if (!stays[static_cast<std::size_t>(at)]) edit.erase.push_back(item.key);
    }
}

std::vector<std::int64_t> newest_first(const std::vector<Item>& listed) {
    std::vector<std::int64_t> times;
    for (const auto& item : listed) times.push_back(time_of(item.key));
    std::ranges::sort(times, std::greater<>{});
    return times;
}

Snapshot version_of(const LiveRecord& record) {
    Snapshot out;
    out.root = record.root;
    out.time_ns = record.time_ns;
    out.files = record.counts.files;
    out.directories = record.counts.directories;
    out.bytes = record.counts.bytes;
    return out;
}

/// base::Errc::unsupported for one of a later version.
base::Result<LiveRecord> record_in(const Item& item, const BlockRef& forest) {
    auto record = LiveRecord::decode(std::get<Opaque>(item.value));
    if (!record && !(record.error() == base::Errc::unsupported)) return damaged(forest, record.error());
    return record;
}

base::Task<base::Result<std::optional<LiveRecord>>> live_record(Tree forest) {
    BASE_CO_TRY(const auto item, co_await forest.find(kLiveKey));
    if (!item) co_return std::optional<LiveRecord>{};
    BASE_CO_TRY(auto record, record_in(*item, *forest.root()));
    co_return std::optional{std::move(record)};
}

class SetPolicy final : public ForestEditor {
  public:
    explicit SetPolicy(HistoryPolicy policy) : policy_{std::move(policy)} {}

    base::Task<base::Result<std::optional<ForestEdit>>> edit(Tree forest, BlockWriter& /*writer*/) override {
        BASE_CO_TRY(const auto listed, co_await read_listed(forest));
        BASE_CO_TRY(const auto live, co_await live_record(forest));
        ForestEdit out;
        auto times = newest_first(listed.versions);
        if (live) times.insert(times.begin(), live->time_ns);
        if (live) erase_others(policy_, times, listed.versions, out);
        Item item;
        item.key = kPolicyKey;
        item.value = encode_history_policy(policy_);
        out.put.push_back(std::move(item));
        co_return std::optional{std::move(out)};
    }
    [[nodiscard]] std::uint64_t stored_since() const override { return UINT64_MAX; }

  private:
    HistoryPolicy policy_;
};

class NameVersion final : public ForestEditor {
  public:
    NameVersion(Volume& volume, Snapshot words) : volume_{volume}, words_{std::move(words)} {}

    base::Task<base::Result<std::optional<ForestEdit>>> edit(Tree forest, BlockWriter& /*writer*/) override {
        BASE_CO_TRY(const auto live, co_await live_record(forest));
        if (!live) co_return base::Error{base::Errc::not_found, "the volume has no live tree"};
        BASE_CO_TRY(const auto items,
                    co_await forest.range(TreeKey::first(0, Kind::snapshot), TreeKey::behind(0, Kind::snapshot)));
        ForestEdit out;
        made = words_;
        made.root = live->root;
        made.sequence = volume_.state().sequence + 1;
        made.files = live->counts.files;
        made.directories = live->counts.directories;
        made.bytes = live->counts.bytes;
        Item item;
        item.key = snapshot_key(made.id());
        for (const auto& other : items) {
            auto snapshot = snapshot_in(other);
            if (other.key == item.key) ++item.key.tie;
            if (!snapshot || snapshot->name != words_.name) continue;
            const bool ours = snapshot->time_ns == words_.time_ns && snapshot->host == words_.host;
            if (!ours) co_return base::Error{std::make_error_code(std::errc::file_exists), words_.name};
            made = std::move(*snapshot);  // the answer of an earlier attempt was lost
            co_return std::optional<ForestEdit>{};
        }
        item.value = made.encode();
        out.put.push_back(std::move(item));
        co_return std::optional{std::move(out)};
    }
    [[nodiscard]] std::uint64_t stored_since() const override { return UINT64_MAX; }

    Snapshot made;

  private:
    Volume& volume_;
    Snapshot words_;
};

}  // namespace

// --- The policy

HistoryPolicy default_history_policy() {
    HistoryPolicy policy;
    policy.last = 10;
    policy.hourly = 24;
    policy.daily = 7;
    policy.weekly = 4;
    policy.monthly = 12;
    return policy;
}

base::Result<void> check_history_policy(const HistoryPolicy& policy) {
    const auto bad = [](const std::string& what) { return base::Error{base::Errc::bad_argument, what}; };
    if (policy.empty()) return bad("nothing says what to keep; the present alone is --keep-last 1");
    if (!policy.tags.empty()) return bad("versions have no tags");
    std::int64_t most = 0;
    for (const auto count : kCounts) {
        if (policy.*count < 0 || policy.*count > kMaxKeptVersions)
            return bad("at most " + std::to_string(kMaxKeptVersions) + " versions are kept");
        most += policy.*count;
    }
    constexpr std::array<std::int64_t, kSpans.size()> kHours{
        0, 1, 24, std::int64_t{24} * 7, std::int64_t{24} * 28, std::int64_t{24} * 365};
    for (std::size_t i = 1; i < kSpans.size(); ++i) most += most_within(policy.*kSpans[i], kHours[i]);
    if (most > kMaxKeptVersions)
        return bad("that may come to " + std::to_string(most) + " versions, and at most " +
                   std::to_string(kMaxKeptVersions) + " are kept");
    return base::ok();
}

Opaque encode_history_policy(const HistoryPolicy& policy) {
    base::Writer out;
    out.u8(kFormat);
    for (const auto count : kCounts) out.varint(static_cast<std::uint64_t>(policy.*count));
    for (const auto span : kSpans) {
        for (const auto unit : kUnits) out.varint(static_cast<std::uint64_t>(policy.*span.*unit));
    }
    Opaque record;
    record.bytes = out.take();
    return record;
}

base::Result<HistoryPolicy> decode_history_policy(const Opaque& record) {
    base::Reader in{record.bytes};
    const auto format = in.u8();
    if (in.ok() && format != kFormat) return base::Error{base::Errc::unsupported, "a policy of a later version"};
    const auto number = [&](int most) {
        const auto value = in.varint();
        if (value > static_cast<std::uint64_t>(most)) in.fail();
        return in.ok() ? static_cast<int>(value) : 0;
    };
    HistoryPolicy out;
    for (const auto count : kCounts) out.*count = number(kMaxKeptVersions);
    for (const auto span : kSpans) {
        for (const auto unit : kUnits) out.*span.*unit = number(kMaxSpan);
    }
    if (!in.complete() || !record.blocks.empty())
        return base::Error{base::Errc::bad_format, "a policy record that does not parse"};
    return out;
}

std::vector<bool> versions_to_keep(const HistoryPolicy& policy, const std::vector<std::int64_t>& times_ns) {
    std::vector<archive::Moment> moments;
    for (const auto time : times_ns) moments.push_back({time, std::cmp_less(moments.size(), policy.last)});
    const auto now = times_ns.empty() ? 0 : times_ns.front() + 1;
    const auto reasons = reasons_to_keep(policy, moments, now, utc);
    std::vector<bool> stays;
    for (const auto& why : reasons) stays.push_back(stays.empty() || !why.empty());
    auto most = std::ranges::count(stays, true) - 1;
    if (most <= kMaxKeptVersions) return stays;
    auto counted = policy;
    counted.within = {};
    const auto without_within = reasons_to_keep(counted, moments, now, utc);
    const auto drop_oldest = [&](bool any) {
        for (auto i = stays.size(); i-- > 1 && most > kMaxKeptVersions;) {
            if (!stays[i] || (!any && !without_within[i].empty())) continue;
            stays[i] = false;
            --most;
        }
    };
    drop_oldest(false);
    drop_oldest(true);
    return stays;
}

// --- Reading and changing

base::Task<base::Result<void>> keep_version(Tree forest, LiveRecord replaced, std::int64_t next_ns, ForestEdit* edit) {
    BASE_CO_TRY(const auto listed, co_await read_listed(std::move(forest)));
    if (!listed.policy) co_return base::ok();
    auto times = newest_first(listed.versions);
    const bool empty = replaced.counts.files == 0 && replaced.counts.directories <= 1;
    if (!empty) times.insert(times.begin(), replaced.time_ns);
    times.insert(times.begin(), next_ns);
    if (!empty && versions_to_keep(*listed.policy, times)[1]) {
        replaced.recent.clear();
        Item item;
        item.key = version_key(replaced.time_ns);
        item.value = replaced.encode();
        edit->put.push_back(std::move(item));
    }
    erase_others(*listed.policy, times, listed.versions, *edit);
    co_return base::ok();
}

base::Task<base::Result<History>> read_history(Volume& volume) {
    const auto root = volume.state().forest;
    BASE_CO_TRY(auto forest, co_await read_forest(volume.reader(), volume.state()));
    History out;
    for (const auto& item : forest.others) {
        if (item.key.kind != Kind::version && item.key != kLiveKey) continue;
        const auto record = record_in(item, *root);
        if (!record && record.error() == Errc::damaged) co_return record.error();
        if (!record) continue;  // carried
        if (item.key == kLiveKey) {
            out.live = version_of(*record);
        } else {
            out.versions.push_back(version_of(*record));
        }
    }
    BASE_CO_TRY(auto listed, listed_in(std::move(forest.others), *root));
    if (listed.policy) out.policy = *listed.policy;
    for (auto& snapshot : forest.snapshots) {
        if (!snapshot.name.empty()) out.versions.push_back(std::move(snapshot));
    }
    std::ranges::stable_sort(out.versions, std::greater<>{}, &Snapshot::time_ns);
    co_return out;
}

std::string version_name(const Snapshot& version) {
    if (!version.name.empty()) return version.name;
    const auto time = utc(version.time_ns);
    std::array<char, 40> text{};
    std::snprintf(text.data(), text.size(), "%04d-%02u-%02uT%02u.%02u.%02u.%03uZ", time.year, time.month, time.day,
                  time.hour, time.minute, time.second, time.nanosecond / 1'000'000U);
    return text.data();
}

base::Task<base::Result<void>> set_history_policy(Volume& volume, HistoryPolicy policy) {
    BASE_CO_CHECK(check_history_policy(policy));
    SetPolicy editor{std::move(policy)};
    BASE_CO_CHECK(co_await volume.edit_forest(editor, ForestCheck::whole));
    co_return base::ok();
}

base::Task<base::Result<Snapshot>> name_version(Volume& volume, Snapshot words) {
    words.time_ns = volume.env().clock.wall_ns();
    NameVersion editor{volume, std::move(words)};
    BASE_CO_CHECK(co_await volume.edit_forest(editor, ForestCheck::paths));
    co_return std::move(editor.made);
}

}  // namespace objstore
