#include "objstore/gc/prune.hpp"

#include <algorithm>
#include <memory>
#include <utility>

#include "base/error.hpp"
#include "gc/list_blocks.hpp"
#include "gc/mark_set.hpp"
#include "gc/walk.hpp"

namespace objstore::gc {
namespace {

constexpr unsigned kMaxSliceBits = 8;
constexpr base::Duration kRequestTimeout = std::chrono::seconds{60};

class Prune {
  public:
    Prune(Volume& volume, PruneOptions options, std::function<void(const PruneProgress&)> progress)
        : volume_{volume}, options_{std::move(options)}, progress_{std::move(progress)} {}

    base::Task<base::Result<PruneReport>> run();

  private:
    base::Task<base::Result<bool>> mark(Slice slice);
    base::Task<base::Result<void>> sweep(Slice slice);
    base::Task<base::Result<void>> sweep_page(base::Guid group, std::vector<past::TaggedBlock> blocks);
    base::Task<void> release(base::Guid group, std::vector<base::Guid> dead);
    void tell(bool sweeping);

    Volume& volume_;
    const PruneOptions options_;
    std::function<void(const PruneProgress&)> progress_;
    MarkSet marked_{0};
    std::uint8_t most_group_bits_ = kMinGroupBits;
    std::uint64_t generation_ = 0;
    PruneReport report_;
    PruneProgress shown_;
};

base::Task<base::Result<PruneReport>> Prune::run() {
    BASE_CO_CHECK(co_await volume_.refresh());
    generation_ = volume_.state().sequence;
    // Ordered before every session that commits later: it is told what it cannot count on any more.
    if (!options_.dry_run) {
        BASE_CO_TRY(generation_, co_await volume_.begin_collection());
    }
    report_.at_once = options_.at_once || (options_.alone && options_.alone());
    if (options_.up_to) generation_ = std::min(generation_, *options_.up_to);
    Slice slice;
    for (;;) {
        BASE_CO_TRY(const auto fits, co_await mark(slice));
        if (!fits) {
            if (slice.bits == kMaxSliceBits)
                co_return base::Error{base::Errc::unsupported, "the trees of this volume have too many nodes"};
            // The slices that are done stay so: this one is cut in two.
            ++slice.bits;
            slice.number *= 2;
            ++report_.passes;
            continue;
        }
        BASE_CO_CHECK(co_await sweep(slice));
        if (++slice.number == 1U << slice.bits) break;
        ++report_.passes;
    }
    co_return std::move(report_);
}

/// False if the marks found no room.
base::Task<base::Result<bool>> Prune::mark(Slice slice) {
    marked_ = MarkSet{options_.max_marked_blocks};
    shown_.blocks = 0;
    bool full = false;
    WalkHooks hooks;
    hooks.meet = [&](const BlockRef& ref) {
        most_group_bits_ = std::max(most_group_bits_, ref.group_bits);
        // Tree nodes are met in every slice, or shared ones would be read once for each tree.
        if (full || (!ref.has_references() && !slice.holds(ref.id))) return false;
        const bool fresh = marked_.insert(ref.id);
        full = marked_.full();
        if (fresh && ++shown_.blocks % 256 == 0) tell(false);
        return fresh;
    };
    auto roots = volume_.roots();
    BASE_CO_TRY(const auto read, co_await walk(volume_.env(), volume_.storage(), volume_.keys().tag, std::move(roots),
                                               std::move(hooks)));
    report_.nodes_read += read;
    co_return !full;
}

base::Task<base::Result<void>> Prune::sweep(Slice slice) {
    shown_.blocks = 0;
    PageFunction page = [this](base::Guid group, std::vector<past::TaggedBlock> blocks) {
        return sweep_page(group, std::move(blocks));
    };
    BASE_CO_TRY(const auto in_part,
                co_await list_blocks(volume_, most_group_bits_, slice, std::move(page), report_.at_once));
    report_.groups_in_part = std::max(report_.groups_in_part, in_part);
    co_return base::ok();
}

base::Task<base::Result<void>> Prune::sweep_page(base::Guid group, std::vector<past::TaggedBlock> blocks) {
    std::vector<base::Guid> dead;
    for (const auto& block : blocks) {
        if (marked_.contains(block.id)) {
            ++report_.blocks;
            report_.bytes += block.bytes;
        } else if (block.generation > generation_) {
            ++report_.blocks_young;
            report_.bytes_young += block.bytes;
        } else {
            dead.push_back(block.id);
            ++report_.blocks_released;
            report_.bytes_released += block.bytes;
        }
    }
    if (!dead.empty()) co_await release(group, std::move(dead));
    tell(true);
    co_return base::ok();
}

base::Task<void> Prune::release(base::Guid group, std::vector<base::Guid> dead) {
    const auto count = dead.size();
    shown_.blocks += count;
    if (options_.dry_run) co_return;
    past::Reclaim reclaim;
    reclaim.group = group;
    reclaim.tag = {.volume = volume_.keys().tag, .generation = generation_};
    reclaim.owner = volume_.owner().public_key();
    reclaim.name_digest = name_digest(volume_.name());
    reclaim.blocks = std::move(dead);
    reclaim.at_once = report_.at_once;
    reclaim.signature = volume_.owner().sign("pelago reclaim", reclaim.body());
    const auto until = volume_.env().clock.now() + kRequestTimeout;
    const auto done = co_await volume_.storage().remove(std::move(reclaim), until);
    if (done) co_return;
    report_.blocks_refused += count;
    if (!report_.refused) report_.refused = done.error();
}

void Prune::tell(bool sweeping) {
    if (!progress_) return;
    shown_.sweeping = sweeping;
    progress_(shown_);
}

}  // namespace

base::Task<base::Result<PruneReport>> prune(Volume& volume, PruneOptions options,
                                            std::function<void(const PruneProgress&)> progress) {
    const auto run = std::make_unique<Prune>(volume, std::move(options), std::move(progress));
    co_return co_await run->run();
}

}  // namespace objstore::gc
