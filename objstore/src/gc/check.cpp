#include "objstore/gc/check.hpp"

#include <algorithm>
#include <memory>
#include <utility>

#include "base/error.hpp"
#include "base/task_group.hpp"
#include "gc/list_blocks.hpp"
#include "gc/mark_set.hpp"
#include "gc/walk.hpp"
#include "objstore/archive/listing.hpp"
#include "objstore/live/history.hpp"
#include "past/error.hpp"

namespace objstore::gc {
namespace {

constexpr std::size_t kReadsAtOnce = 8;
constexpr base::Duration kReadTimeout = std::chrono::seconds{60};

struct Wanted {
    base::Guid id;
    std::uint32_t bytes = 0;
    std::uint8_t group_bits = kMinGroupBits;
};

class Check {
  public:
    Check(Volume& volume, CheckOptions options, std::function<void(const CheckProgress&)> progress)
        : volume_{volume}, options_{std::move(options)}, progress_{std::move(progress)} {}

    base::Task<base::Result<CheckReport>> run();

  private:
    base::Task<base::Result<void>> ask_holders();
    base::Task<base::Result<void>> take_page(std::vector<past::TaggedBlock> blocks);
    base::Task<base::Result<void>> walk_trees();
    bool meet(const BlockRef& ref);
    void choose_data();
    base::Task<base::Result<void>> read(std::vector<Wanted> wanted, bool count);
    base::Task<void> read_some(std::vector<Wanted>* wanted, bool count);
    base::Result<void> note(const base::Guid& id, const base::Error& error);
    base::Task<base::Result<void>> name_what_is_hurt();
    base::Task<base::Result<void>> name_in(Snapshot snapshot, std::string version);
    void tell(CheckProgress::Step step);

    Volume& volume_;
    const CheckOptions options_;
    std::function<void(const CheckProgress&)> progress_;
    MarkSet held_{SIZE_MAX};
    MarkSet met_{SIZE_MAX};
    std::vector<Wanted> suspects_;  // no holder that answered has them
    std::vector<Wanted> data_;      // to be read
    std::set<base::Guid> bad_;
    std::optional<base::Error> failed_;
    CheckReport report_;
    CheckProgress shown_;
};

base::Task<base::Result<CheckReport>> Check::run() {
    BASE_CO_CHECK(co_await volume_.refresh());
    BASE_CO_TRY(const auto snapshots, co_await volume_.snapshots());
    report_.snapshots = snapshots.size();
    BASE_CO_CHECK(co_await ask_holders());
    BASE_CO_CHECK(co_await walk_trees());
    BASE_CO_CHECK(co_await read(std::exchange(suspects_, {}), false));
    choose_data();
    BASE_CO_CHECK(co_await read(std::exchange(data_, {}), true));
    if (!bad_.empty()) BASE_CO_CHECK(co_await name_what_is_hurt());
    co_return std::move(report_);
}

base::Task<base::Result<void>> Check::ask_holders() {
    PageFunction page = [this](base::Guid, std::vector<past::TaggedBlock> blocks) {
        return take_page(std::move(blocks));
    };
    BASE_CO_CHECK(co_await list_blocks(volume_, kMinGroupBits, Slice(), std::move(page), false));
    co_return base::ok();
}

base::Task<base::Result<void>> Check::take_page(std::vector<past::TaggedBlock> blocks) {
    for (const auto& block : blocks) {
        held_.insert(block.id);
        ++report_.blocks_unneeded;  // until the trees say otherwise
        report_.bytes_unneeded += block.bytes;
    }
    shown_.blocks = held_.size();
    tell(CheckProgress::Step::holders);
    co_return base::ok();
}

base::Task<base::Result<void>> Check::walk_trees() {
    shown_.blocks = 0;
    WalkHooks hooks;
    hooks.meet = [this](const BlockRef& ref) { return meet(ref); };
    hooks.lose = [this](const BlockRef& ref, const base::Error& error) { return note(ref.id, error); };
    auto roots = volume_.roots();
    BASE_CO_TRY(report_.nodes_read, co_await walk(volume_.env(), volume_.storage(), volume_.keys().tag,
                                                  std::move(roots), std::move(hooks)));
    co_return base::ok();
}

bool Check::meet(const BlockRef& ref) {
    if (!met_.insert(ref.id)) return false;
    ++report_.blocks;
    report_.bytes += ref.sealed_bytes;
    const Wanted wanted{ref.id, ref.sealed_bytes, ref.group_bits};
    if (held_.contains(ref.id)) {
        --report_.blocks_unneeded;
        report_.bytes_unneeded -= std::min<std::uint64_t>(report_.bytes_unneeded, ref.sealed_bytes);
        // What has references is read by the walk.
        if (options_.read_data && !ref.has_references()) data_.push_back(wanted);
    } else if (!ref.has_references()) {
        suspects_.push_back(wanted);
    }
    if (++shown_.blocks % 256 == 0) tell(CheckProgress::Step::trees);
    return true;
}

void Check::choose_data() {
    if (!options_.read_data) return;
    const auto& which = *options_.read_data;
    auto& rng = volume_.env().rng;
    if (which.bytes || which.share) {
        for (std::size_t i = data_.size(); i > 1; --i) std::swap(data_[i - 1], data_[rng.below(i)]);
        std::uint64_t bytes = 0;
        auto keep = data_.begin();
        if (which.share) keep += static_cast<std::ptrdiff_t>(static_cast<double>(data_.size()) * *which.share + 0.5);
        while (which.bytes && keep != data_.end() && bytes < *which.bytes) bytes += (keep++)->bytes;
        data_.erase(keep, data_.end());
    } else {
        // Not the first bytes: they decide the group.
        std::erase_if(data_, [&](const Wanted& one) {
            const auto& id = one.id.bytes();
            const std::uint32_t number = std::uint32_t{id[16]} << 16U | std::uint32_t{id[17]} << 8U | id[18];
            return number % which.parts != which.part - 1;
        });
    }
    // In the order in which a holder lists them: neighbours on its disk came at one time, and this is as good as any.
    std::ranges::sort(data_, {}, &Wanted::id);
}

base::Task<void> Check::read_some(std::vector<Wanted>* wanted, bool count) {
    while (!wanted->empty() && !failed_) {
        const auto one = wanted->back();
        wanted->pop_back();
        const auto placement_group = group_of(volume_.keys().tag, one.group_bits, one.id);
        const auto bytes =
            co_await volume_.storage().get(placement_group, one.id, volume_.env().clock.now() + kReadTimeout);
        if (bytes && count) {
            ++report_.blocks_read;
            report_.bytes_read += bytes->size();
        }
        shown_.blocks = report_.blocks_read;
        shown_.bytes = report_.bytes_read;
        tell(CheckProgress::Step::data);
        base::Result<void> noted = base::ok();
        if (!bytes) noted = note(one.id, bytes.error());
        if (bytes && bytes->size() != one.bytes)
            noted = note(one.id, base::Error{Errc::damaged, one.id.hex() + ": another length than its parent says"});
        if (!noted && !failed_) failed_ = noted.error();
    }
}

base::Task<base::Result<void>> Check::read(std::vector<Wanted> wanted, bool count) {
    base::TaskGroup group{volume_.env().executor};
    for (std::size_t i = 0; i < kReadsAtOnce; ++i) group.spawn(read_some(&wanted, count));
    co_await group.join();
    if (failed_) co_return *failed_;
    co_return base::ok();
}

/// What befalls one block; any other error befalls them all.
base::Result<void> Check::note(const base::Guid& id, const base::Error& error) {
    const bool lost =
        is_isolated_damage(error.code()) || error == past::Errc::block_not_found || error == past::Errc::corrupt_block;
    const bool silent =
        error == past::Errc::holders_unreachable || error == base::Errc::timed_out || error == base::Errc::unreachable;
    if (!lost && !silent) return error;
    if (bad_.insert(id).second) (lost ? report_.damaged : report_.unreachable).push_back({id, error});
    return base::ok();
}

base::Task<base::Result<void>> Check::name_what_is_hurt() {
    BASE_CO_TRY(const auto snapshots, co_await volume_.snapshots());
    for (const auto& snapshot : snapshots) BASE_CO_CHECK(co_await name_in(snapshot, {}));
    const auto history = co_await read_history(volume_);
    if (!history && !is_isolated_damage(history.error().code()) &&
        !(history.error() == past::Errc::holders_unreachable))
        co_return history.error();
    if (!history) co_return base::ok();
    if (history->live) BASE_CO_CHECK(co_await name_in(*history->live, "now"));
    for (const auto& version : history->versions) {
        if (version.name.empty()) BASE_CO_CHECK(co_await name_in(version, version_name(version)));
    }
    co_return base::ok();
}

base::Task<base::Result<void>> Check::name_in(Snapshot snapshot, std::string version) {
    HurtSnapshot hurt;
    const auto add = [&](const std::string& path) {
        ++hurt.files;
        if (hurt.paths.size() < options_.most_named) hurt.paths.push_back(path);
    };
    const auto is_bad = [&](const BlockRefPtr& block) { return block && bad_.contains(block->id); };
    auto visit = [&](const std::string& path, const archive::Node& node) {
        bool bad = std::ranges::any_of(node.extents, [&](const auto& one) { return is_bad(one.extent.block); });
        for (const auto& xattr : node.xattrs) {
            const auto* extent = std::get_if<Extent>(&xattr.value);
            bad = bad || (extent != nullptr && is_bad(extent->block));
        }
        if (bad) add(path);
    };
    const auto seen = co_await archive::visit_files(volume_, snapshot, "/", true, std::move(visit));
    if (!seen && !is_isolated_damage(seen.error().code()) && !(seen.error() == past::Errc::holders_unreachable))
        co_return seen.error();
    hurt.unreadable = !seen || seen->count() > 0;
    if (seen) {
        for (const auto& [kind, entry] : seen->kinds()) {
            for (const auto& named : entry.first) add(named.path);
        }
    }
    if (hurt.unreadable || hurt.files > 0) {
        hurt.snapshot = std::move(snapshot);
        hurt.version = std::move(version);
        report_.hurt.push_back(std::move(hurt));
    }
    co_return base::ok();
}

void Check::tell(CheckProgress::Step step) {
    if (!progress_) return;
    shown_.step = step;
    progress_(shown_);
}

}  // namespace

base::Task<base::Result<CheckReport>> check(Volume& volume, CheckOptions options,
                                            std::function<void(const CheckProgress&)> progress) {
    const auto run = std::make_unique<Check>(volume, std::move(options), std::move(progress));
    co_return co_await run->run();
}

}  // namespace objstore::gc
