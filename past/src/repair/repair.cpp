#include "repair/repair.hpp"

#include <algorithm>

#include "base/wait.hpp"
#include "registers/registers.hpp"

namespace past {

using base::Guid;
using base::Task;
using base::TimePoint;

Repair::Repair(Context& context, Holders& holders, Registers& registers, const Ledger& pointers)
    : context_{context},
      holders_{holders},
      registers_{registers},
      pointers_{pointers},
      far_{context, holders},
      losses_{context, holders},
      presence_{context.env.clock, context.kbr, context.membership, context.config},
      bucket_{context.env.clock, context.config.repair_bytes_per_second, context.config.repair_burst_bytes},
      wake_{std::make_shared<base::Event>(context.env.executor)},
      full_check_at_{context.now()} {
    context_.tags_raised = [this](const Guid& group) { tags_raised(group); };
}

/// The holders have not heard of these tags from us: before we let go, they will.
void Repair::tags_raised(const Guid& key) {
    const auto group = groups_.find(key);
    if (group == groups_.end()) return;
    ++group->second.tag_changes;  // an offer that is on its way did not name them either
    for (auto& [id, peer] : group->second.peers) peer.offered = false;
    if (context_.draining()) group->second.surplus_since.reset();  // until they were told
}

void Repair::kick() {
    presence_.refresh();
    full_check_ = true;
    kicked_ = true;
    ++changes_;
    wake_->pulse();
}

Task<void> Repair::run() {
    for (;;) {
        co_await pause();
        co_await round();
    }
}

/// Until the next look: soon while something is short or new, else a whole period; jittered, so that nodes that saw the
/// same event do not all act at once.
Task<void> Repair::pause() {
    const auto& config = context_.config;
    const auto jitter = 0.75 + context_.env.rng.unit() / 2;
    const auto soon = context_.now() + std::chrono::duration_cast<base::Duration>(config.recheck_period * jitter);
    auto until = std::min(soon, full_check_at_);
    if (const auto expiry = holders_.next_expiry()) until = std::min(until, *expiry);
    while (context_.now() < until) {
        if (kicked_) {
            kicked_ = false;
            until = std::min(
                until, context_.now() + std::chrono::duration_cast<base::Duration>(config.quiet_period * jitter / 3));
        }
        co_await base::wait_until(context_.env.clock, wake_, until);
    }
}

Task<void> Repair::round() {
    const auto now = context_.now();
    const auto usage = context_.store.usage();
    const bool changed = usage.blocks != seen_usage_.blocks || usage.block_bytes != seen_usage_.block_bytes;
    if (now >= full_check_at_) full_check_ = true;
    if (const auto expiry = holders_.next_expiry(); expiry && *expiry - now < context_.config.quiet_period)
        full_check_ = true;
    if (!full_check_ && !changed && !far_.found_some() && now < next_work_) co_return;
    seen_usage_ = usage;
    presence_.refresh();
    const bool full = std::exchange(full_check_, false);
    if (full) {
        const auto jitter = 0.5 + context_.env.rng.unit();
        full_check_at_ = now + std::chrono::duration_cast<base::Duration>(context_.config.check_period * jitter);
    }
    take_in_groups(full);
    const auto changes = changes_;
    find_sets();
    co_await compare_all();
    if (widen()) co_await compare_all();
    co_await run_jobs();
    co_await let_go(changes);
    co_await losses_.settle();
    co_await registers_.maintain();
    note_short();
    next_work_ = registers_.left_to_drain() > 0 ? context_.now() : next_work();
}

/// `full`: all holders are asked again.
void Repair::take_in_groups(bool full) {
    std::map<Guid, GroupCopies> fresh;
    for (const auto& summary : context_.store.groups()) {
        auto known = groups_.extract(summary.group);
        const bool first = !known;
        auto& group = known ? fresh.insert(std::move(known)).position->second : fresh[summary.group];
        if (first) group.worked_at = context_.now();
        if (group.summary.digest != summary.digest) group.changed_at = context_.now();
        group.summary = summary;
        if (!full) continue;
        for (auto& [id, peer] : group.peers) peer.compared = peer.compared && !peer.placed;
    }
    groups_ = std::move(fresh);
}

TimePoint Repair::next_work() const {
    auto next = TimePoint::max();
    for (const auto& [key, group] : groups_) next = std::min(next, next_work(group));
    return next;
}

/// When a group needs another round, if nothing changes before; max(): never. Full checks come all the same.
TimePoint Repair::next_work(const GroupCopies& group) const {
    if (group.set.placement.empty()) return context_.now();
    auto next = TimePoint::max();
    if (group.wide) {
        next = std::min(next, group.look_at);
    } else if (group.short_since) {
        next = std::min(next, *group.short_since + 2 * context_.config.quiet_period);
    }
    for (const auto& [id, peer] : group.peers) {
        if (!peer.placed || !peer.live) continue;
        const bool well = peer.well(!ours(group)) && peer.ours == group.summary.digest;
        if (well && (ours(group) || !peer.gave_some_up)) continue;
        auto at = std::max(context_.now(), quiet_until(group));
        if (peer.compared && peer.waits) at = std::max({at, presence_.stable_at(id), peer.refused_until});
        if (peer.compared && peer.waits && presence_.newcomer(id)) at = std::max(at, presence_.known_at(id));
        next = std::min(next, at);
    }
    if (!ours(group) && group.let_go_safely(context_.self(), context_.membership.copies())) {
        const auto since = group.surplus_since.value_or(context_.now());
        const auto due = since + (short_of_space() ? context_.config.discard_grace : context_.config.keep_surplus);
        next = std::min(next, std::max(due, since + context_.config.discard_grace));
    }
    return next;
}

}  // namespace past
