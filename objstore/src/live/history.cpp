#include "objstore/live/history.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <map>
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
constexpr TreeKey kHistoryKey{.inode = 0, .kind = Kind::policy};
constexpr std::size_t kMoveTogether = 4;  // versions, to their own tree

constexpr std::array kCounts{&HistoryPolicy::last,   &HistoryPolicy::hourly,  &HistoryPolicy::daily,
                             &HistoryPolicy::weekly, &HistoryPolicy::monthly, &HistoryPolicy::yearly};
constexpr std::array kSpans{&HistoryPolicy::within,         &HistoryPolicy::within_hourly,
                            &HistoryPolicy::within_daily,   &HistoryPolicy::within_weekly,
                            &HistoryPolicy::within_monthly, &HistoryPolicy::within_yearly};
constexpr std::array kUnits{&Span::years, &Span::months, &Span::days, &Span::hours};

LocalTime utc(std::int64_t ns) {
    using namespace std::chrono;  // NOLINT: a calendar's words
    const sys_time<nanoseconds> moment{nanoseconds{ns}};
    const auto second = floor<seconds>(moment);
    return archive::calendar_time(second, static_cast<std::uint32_t>((moment - second).count()));
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
    HistoryRecord record;
    bool later = false;       // the record is of a later version
    std::vector<Item> young;  // in the forest
    std::vector<Item> older;  // in their own tree
    bool older_whole = true;  // else `older` is what is left of them

    [[nodiscard]] HistoryPolicy policy() const { return record.policy.value_or(default_history_policy()); }
};

base::Error damaged(const BlockRef& forest, const base::Error& error) {
    return {Errc::damaged, "forest " + forest.id.hex() + ": " + error.detail()};
}

/// Of the forest's items; those of other kinds are passed over.
base::Result<Listed> listed_in(std::vector<Item> items, const BlockRef& forest) {
    Listed out;
    for (auto& item : items) {
        if (item.key.kind == Kind::version) {
            out.young.push_back(std::move(item));
        } else if (item.key == kHistoryKey) {
            auto record = HistoryRecord::decode(std::get<Opaque>(item.value));
            if (!record && !(record.error() == base::Errc::unsupported)) return damaged(forest, record.error());
            out.later = !record;
            if (record) out.record = std::move(*record);
        }
    }
    return out;
}

base::Task<base::Result<void>> read_older(BlockReader& reader, std::shared_ptr<NodeCache> nodes, Listed* listed) {
    if (!listed->record.older) co_return base::ok();
    const Tree tree{reader, listed->record.older, std::move(nodes)};
    auto items = co_await tree.range(TreeKey{}, TreeKey::first(UINT64_MAX));
    if (!items && !is_isolated_damage(items.error().code())) co_return items.error();
    listed->older_whole = items.has_value();
    if (!items) {
        BASE_CO_TRY(auto left, co_await tree.salvage());
        items = std::move(left.items);
    }
    listed->older = std::move(*items);
    co_return base::ok();
}

base::Task<base::Result<Listed>> read_listed(Tree forest) {
    BASE_CO_TRY(auto items, co_await forest.range(TreeKey::first(0, Kind::version), TreeKey::behind(0, Kind::policy)));
    co_return listed_in(std::move(items), *forest.root());
}

/// What becomes of the versions that are listed.
struct Judgement {
    std::vector<TreeKey> drop_young, drop_older;
    std::vector<Item> move;  // from the young to the older
    bool replaced_stays = false;
};

/// `first_ns`: the newest first, of those that are not listed: the live tree, and what it replaces.
Judgement judge(const HistoryPolicy& policy, const std::vector<std::int64_t>& first_ns, const Listed& listed) {
    auto times = first_ns;
    for (const auto* some : {&listed.young, &listed.older}) {
        for (const auto& item : *some) times.push_back(time_of(item.key));
    }
    std::sort(times.begin() + static_cast<std::ptrdiff_t>(first_ns.size()), times.end(), std::greater<>{});
    const auto stays = versions_to_keep(policy, times);
    const auto number_of = [&](const Item& item) {
        return static_cast<std::size_t>(std::ranges::find(times, time_of(item.key)) - times.begin());
    };
    Judgement out;
    out.replaced_stays = first_ns.size() > 1 && stays[1];
    for (const auto& item : listed.young) {
        const auto number = number_of(item);
        if (!stays[number]) out.drop_young.push_back(item.key);
        if (stays[number] && std::cmp_greater_equal(number, policy.last)) out.move.push_back(item);
    }
    for (const auto& item : listed.older) {
        if (!stays[number_of(item)]) out.drop_older.push_back(item.key);
    }
    return out;
}

/// The older versions without some and with others; null if none is left.
base::Task<base::Result<BlockRefPtr>> write_older(LiveStore store, BlockWriter& writer, const Listed& listed,
                                                  const Judgement& judged) {
    std::map<TreeKey, Item> all;
    for (const auto& item : listed.older) all.emplace(item.key, item);
    for (const auto& key : judged.drop_older) all.erase(key);
    for (const auto& item : judged.move) all.insert_or_assign(item.key, item);
    if (all.empty()) co_return nullptr;
    // At most a few leaves: written from nothing they are the same as by edits.
    TreeUpdate update{writer, TreeShape{.node_bytes = kLiveNodeBytes, .name_epoch = store.keys.epoch.epoch}};
    for (auto& [key, item] : all) BASE_CO_CHECK(co_await update.put(std::move(item)));
    co_return co_await update.finish();
}

/// Adds to the edit; `record` is listed in the place of the one that is there, if `anew` or if it has to be.
base::Task<base::Result<void>> apply(LiveStore store, BlockWriter& writer, const Listed& listed, Judgement judged,
                                     HistoryRecord record, bool anew, ForestEdit* edit) {
    if (!anew && judged.drop_older.empty() && judged.move.size() < kMoveTogether) judged.move.clear();
    const bool rewrite = !judged.drop_older.empty() || !judged.move.empty() || (anew && !listed.older_whole);
    edit->erase.insert(edit->erase.end(), judged.drop_young.begin(), judged.drop_young.end());
    for (const auto& item : judged.move) edit->erase.push_back(item.key);
    std::ranges::sort(edit->erase);
    if (rewrite) {
        BASE_CO_TRY(record.older, co_await write_older(store, writer, listed, judged));
    }
    if (!anew && !rewrite) co_return base::ok();
    Item item;
    item.key = kHistoryKey;
    item.value = record.encode();
    edit->put.push_back(std::move(item));
    co_return base::ok();
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

base::Error history_of_later_version() {
    return {base::Errc::unsupported, "the volume's history is of a later version of pelago"};
}

class SetPolicy final : public ForestEditor {
  public:
    SetPolicy(Volume& volume, HistoryPolicy policy) : volume_{volume}, policy_{std::move(policy)} {}

    base::Task<base::Result<std::optional<ForestEdit>>> edit(Tree forest, BlockWriter& writer) override {
        BASE_CO_TRY(auto listed, co_await read_listed(forest));
        if (listed.later) co_return history_of_later_version();
        BASE_CO_CHECK(co_await read_older(volume_.reader(), nullptr, &listed));
        BASE_CO_TRY(const auto live, co_await live_record(forest));
        Judgement judged;
        if (live) judged = judge(policy_, {live->time_ns}, listed);
        auto record = listed.record;
        record.policy = policy_;
        const LiveStore store{volume_.reader(), nullptr, volume_.keys()};
        ForestEdit out;
        BASE_CO_CHECK(co_await apply(store, writer, listed, std::move(judged), std::move(record), true, &out));
        co_return std::optional{std::move(out)};
    }
    [[nodiscard]] std::uint64_t stored_since() const override { return UINT64_MAX; }

  private:
    Volume& volume_;
    HistoryPolicy policy_;
};

class DropVersion final : public ForestEditor {
  public:
    DropVersion(Volume& volume, std::int64_t time_ns) : volume_{volume}, key_{version_key(time_ns)} {}

    base::Task<base::Result<std::optional<ForestEdit>>> edit(Tree forest, BlockWriter& writer) override {
        BASE_CO_TRY(auto listed, co_await read_listed(std::move(forest)));
        if (listed.later) co_return history_of_later_version();
        Judgement judged;
        if (std::ranges::count(listed.young, key_, &Item::key) > 0) judged.drop_young.push_back(key_);
        if (judged.drop_young.empty()) {
            BASE_CO_CHECK(co_await read_older(volume_.reader(), nullptr, &listed));
            if (std::ranges::count(listed.older, key_, &Item::key) == 0) co_return std::optional<ForestEdit>{};
            judged.drop_older.push_back(key_);
        }
        auto record = listed.record;
        const LiveStore store{volume_.reader(), nullptr, volume_.keys()};
        ForestEdit out;
        BASE_CO_CHECK(co_await apply(store, writer, listed, std::move(judged), std::move(record), false, &out));
        co_return std::optional{std::move(out)};
    }
    [[nodiscard]] std::uint64_t stored_since() const override { return UINT64_MAX; }

  private:
    Volume& volume_;
    TreeKey key_;
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
    policy.last = 5;
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

Opaque HistoryRecord::encode() const {
    base::Writer out;
    out.u8(kFormat).u8(policy ? 1 : 0);
    for (const auto count : kCounts) {
        if (policy) out.varint(static_cast<std::uint64_t>((*policy).*count));
    }
    for (const auto span : kSpans) {
        for (const auto unit : kUnits) {
            if (policy) out.varint(static_cast<std::uint64_t>((*policy).*span.*unit));
        }
    }
    Opaque record;
    record.bytes = out.take();
    if (older) record.blocks.push_back(older);
    return record;
}

base::Result<HistoryRecord> HistoryRecord::decode(const Opaque& record) {
    base::Reader in{record.bytes};
    const auto format = in.u8();
    if (in.ok() && format != kFormat) return base::Error{base::Errc::unsupported, "a history of a later version"};
    const auto number = [&](int most) {
        const auto value = in.varint();
        if (value > static_cast<std::uint64_t>(most)) in.fail();
        return in.ok() ? static_cast<int>(value) : 0;
    };
    const auto with_policy = in.u8();
    if (with_policy > 1) in.fail();
    HistoryPolicy policy;
    for (const auto count : kCounts) {
        if (with_policy == 1) policy.*count = number(kMaxKeptVersions);
    }
    for (const auto span : kSpans) {
        for (const auto unit : kUnits) {
            if (with_policy == 1) policy.*span.*unit = number(kMaxSpan);
        }
    }
    if (!in.complete() || record.blocks.size() > 1 || (record.blocks.size() == 1 && record.blocks[0] == nullptr))
        return base::Error{base::Errc::bad_format, "a history record that does not parse"};
    HistoryRecord out;
    if (with_policy == 1) out.policy = policy;
    if (!record.blocks.empty()) out.older = record.blocks[0];
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

base::Task<base::Result<bool>> keep_version(LiveStore store, BlockReader* older, Tree forest, BlockWriter& writer,
                                            LiveRecord replaced, std::int64_t next_ns, ForestEdit* edit) {
    BASE_CO_TRY(auto listed, co_await read_listed(std::move(forest)));
    if (listed.later) co_return true;
    bool read = listed.record.older == nullptr;
    if (!read && older != nullptr) read = (co_await read_older(*older, store.nodes, &listed)).has_value();
    const bool known = read && listed.older_whole;
    if (!known) listed.older.clear();
    const auto policy = listed.policy();
    std::vector<std::int64_t> first{next_ns};
    const bool empty = replaced.counts.files == 0 && replaced.counts.directories <= 1;
    if (!empty) first.push_back(replaced.time_ns);
    auto judged = judge(policy, first, listed);
    if (!known) judged.move.clear();
    if (judged.replaced_stays) {
        replaced.recent.clear();
        Item item;
        item.key = version_key(replaced.time_ns);
        item.value = replaced.encode();
        edit->put.push_back(std::move(item));
    }
    auto record = listed.record;
    BASE_CO_CHECK(co_await apply(std::move(store), writer, listed, std::move(judged), std::move(record), false, edit));
    co_return read;
}

base::Task<base::Result<std::vector<BlockRefPtr>>> roots_of_versions(BlockReader& reader, Tree forest) {
    std::vector<BlockRefPtr> roots;
    BASE_CO_TRY(const auto live, co_await live_record(forest));
    if (live) roots.push_back(live->root);
    BASE_CO_TRY(auto listed, co_await read_listed(std::move(forest)));
    BASE_CO_CHECK(co_await read_older(reader, nullptr, &listed));
    for (const auto* some : {&listed.young, &listed.older}) {
        for (const auto& item : *some) {
            const auto& blocks = std::get<Opaque>(item.value).blocks;
            roots.insert(roots.end(), blocks.begin(), blocks.end());
        }
    }
    co_return roots;
}

base::Task<base::Result<History>> read_history(Volume& volume) {
    const auto root = volume.state().forest;
    BASE_CO_TRY(auto forest, co_await read_forest(volume.reader(), volume.state()));
    History out;
    for (const auto& item : forest.others) {
        if (item.key != kLiveKey) continue;
        const auto live = record_in(item, *root);
        if (!live) co_return live.error();
        out.live = version_of(*live);
    }
    BASE_CO_TRY(auto listed, listed_in(std::move(forest.others), *root));
    BASE_CO_CHECK(co_await read_older(volume.reader(), nullptr, &listed));
    out.policy = listed.policy();
    for (const auto* some : {&listed.young, &listed.older}) {
        for (const auto& item : *some) {
            const auto record = record_in(item, *root);
            if (record) out.versions.push_back(version_of(*record));
            if (!record && record.error() == Errc::damaged) co_return record.error();
        }
    }
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
    SetPolicy editor{volume, std::move(policy)};
    BASE_CO_CHECK(co_await volume.edit_forest(editor, ForestCheck::whole));
    co_return base::ok();
}

base::Task<base::Result<void>> forget_version(Volume& volume, Snapshot version) {
    if (!version.name.empty()) {
        std::vector<base::Guid> gone{version.id()};
        BASE_CO_CHECK(co_await volume.forget(std::move(gone)));
        co_return base::ok();
    }
    DropVersion editor{volume, version.time_ns};
    BASE_CO_CHECK(co_await volume.edit_forest(editor, ForestCheck::paths));
    co_return base::ok();
}

base::Task<base::Result<Snapshot>> name_version(Volume& volume, Snapshot words) {
    words.time_ns = volume.env().clock.wall_ns();
    NameVersion editor{volume, std::move(words)};
    BASE_CO_CHECK(co_await volume.edit_forest(editor, ForestCheck::paths));
    co_return std::move(editor.made);
}

}  // namespace objstore
