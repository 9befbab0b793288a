#include "repair/scrub.hpp"

#include "base/codec.hpp"
#include "base/hash.hpp"

namespace past {
namespace {

using base::Guid;
using base::Task;

constexpr std::uint8_t kFormat = 6;  // docs/formats/register.md, "On disk"
constexpr std::size_t kPage = 256;
constexpr std::chrono::minutes kSaveEvery{10};
constexpr std::chrono::minutes kLook{10};
constexpr std::chrono::minutes kFirst{10};  // a node that has just come has other things to do
/// A small store is done sooner than it must be.
constexpr double kLeastBytesPerSecond = 128 << 10U;
/// Of the period: the rest is for what was busy, or switched off.
constexpr double kShare = 0.8;

Guid record_key() { return base::sha256(base::as_bytes("pelago past scrub")); }

}  // namespace

void Scrub::load() {
    const auto stored = disk_.record(record_key());
    if (!stored) return;
    base::Reader in{*stored};
    if (in.u8() != kFormat) return;
    const auto group = in.guid(), after = in.guid();
    const auto began = in.i64(), ended = in.i64();
    const auto blocks = in.u64(), damaged = in.u64();
    const auto under_way = in.u8();
    if (!in.complete()) return;  // from the beginning, then
    group_ = group;
    after_ = after;
    began_ns_ = began;
    ended_ns_ = ended;
    blocks_ = blocks;
    damaged_ = damaged;
    under_way_ = under_way == 1;
}

// A position that is not written down costs reading a little once more.
Task<void> Scrub::save() {
    base::Writer out;
    out.u8(kFormat).guid(group_).guid(after_).i64(began_ns_).i64(ended_ns_).u64(blocks_).u64(damaged_);
    out.u8(under_way_ ? 1 : 0);
    saved_at_ = context_.now();
    std::ignore = co_await disk_.put_record(record_key(), out.take());
}

// A clock that was wrong makes it a period at most.
base::Duration Scrub::until_next_round() const {
    const base::Duration period = context_.config.scrub_period;
    const auto first = std::min<base::Duration>(kFirst, period);
    if (began_ns_ == 0) return std::max<base::Duration>(started_at_ + first - context_.now(), {});
    const std::chrono::nanoseconds since{context_.env.clock.wall_ns() - began_ns_};
    return std::clamp<base::Duration>(period - since, {}, period);
}

Task<void> Scrub::run() {
    if (context_.config.scrub_period == Config::Milliseconds::zero()) co_return;
    load();
    started_at_ = saved_at_ = context_.now();
    for (;;) {
        if (!under_way_) {
            while (disk_.usage().blocks == 0 || until_next_round() > base::Duration::zero())
                co_await context_.env.clock.sleep_for(std::min<base::Duration>(kLook, context_.config.scrub_period));
            under_way_ = true;
            group_ = after_ = Guid{};
            blocks_ = damaged_ = 0;
            began_ns_ = context_.env.clock.wall_ns();
        }
        co_await round();
        under_way_ = false;
        ended_ns_ = context_.env.clock.wall_ns();
        co_await save();
    }
}

Task<void> Scrub::round() {
    // Groups that come meanwhile have just been written, and wait for the next round.
    for (const auto& summary : disk_.groups()) {
        if (summary.group < group_) continue;
        if (summary.group != group_) after_ = Guid{};
        group_ = summary.group;
        for (;;) {
            const auto page = disk_.list(group_, after_, kPage);
            if (page.empty()) break;
            for (const auto& id : page) {
                co_await check(id);
                after_ = id;
                if (context_.now() - saved_at_ >= kSaveEvery) co_await save();
            }
        }
    }
}

Task<void> Scrub::check(Guid id) {
    const double bytes = disk_.length(id);
    if (bytes == 0 && !disk_.has(id)) co_return;
    co_await context_.priority_throttle.yield_to_clients(static_cast<std::uint64_t>(bytes));
    const auto read = co_await store_.get(id);
    ++blocks_;
    if (!read && read.error() == Errc::corrupt_block) {
        ++damaged_;
        ++context_.counters.corrupt_blocks;
    }
    const std::chrono::duration<double> period = context_.config.scrub_period;
    const auto rate =
        std::max(kLeastBytesPerSecond, static_cast<double>(disk_.usage().block_bytes) / (kShare * period.count()));
    const std::chrono::duration<double> pause{bytes / rate};
    co_await context_.env.clock.sleep_for(std::chrono::duration_cast<base::Duration>(pause));
}

void Scrub::report(NodeStatus& status) const {
    status.scrub_period = context_.config.scrub_period;
    status.scrub_began_ns = began_ns_;
    status.scrub_ended_ns = ended_ns_;
    status.scrub_blocks = blocks_;
    status.scrub_damaged = damaged_;
}

}  // namespace past
