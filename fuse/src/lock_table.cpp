#include "lock_table.hpp"

#include <algorithm>
#include <set>

namespace fusefs {

namespace {

bool overlap(const Lock& a, const Lock& b) { return a.start <= b.end && b.start <= a.end; }

bool exclude(const Lock& a, const Lock& b) {
    const bool both_read = a.type == Lock::Type::read && b.type == Lock::Type::read;
    return a.owner != b.owner && !both_read && overlap(a, b);
}

base::Error posix(std::errc code) { return {std::make_error_code(code)}; }

}  // namespace

LockTable::LockTable(base::Executor executor, std::size_t max_locks_per_file, Deadlocks deadlocks)
    : executor_{std::move(executor)}, max_locks_{max_locks_per_file}, deadlocks_{deadlocks} {}

Lock::Type LockTable::held(NodeId node, std::uint64_t owner) const {
    const auto file = files_.find(node);
    if (file == files_.end()) return Lock::Type::none;
    const auto found = std::ranges::find(file->second.locks, owner, &Lock::owner);
    return found == file->second.locks.end() ? Lock::Type::none : found->type;
}

std::optional<Lock> LockTable::conflict(NodeId node, const Lock& lock) const {
    const auto file = files_.find(node);
    if (file == files_.end() || lock.type == Lock::Type::none) return std::nullopt;
    const auto found = std::ranges::find_if(file->second.locks, [&](const Lock& held) { return exclude(held, lock); });
    if (found == file->second.locks.end()) return std::nullopt;
    return *found;
}

/// Whoever holds what is wanted waits, directly or through others, for the one who wants it.
bool LockTable::would_deadlock(const Lock& wanted, NodeId node) const {
    std::set<std::uint64_t> seen;
    std::vector<std::pair<NodeId, Lock>> open{{node, wanted}};
    while (!open.empty()) {
        const auto [at, lock] = open.back();
        open.pop_back();
        const auto file = files_.find(at);
        if (file == files_.end()) continue;
        for (const Lock& held : file->second.locks) {
            if (!exclude(held, lock)) continue;
            if (held.owner == wanted.owner) return true;
            if (!seen.insert(held.owner).second) continue;
            for (const Waiter& waiter : waiters_) {
                if (waiter.owner == held.owner) open.emplace_back(waiter.node, waiter.wanted);
            }
        }
    }
    return false;
}

/// `lock` takes the place of whatever its owner has there; neighbours of the same kind become one.
void LockTable::apply(File& file, const Lock& lock) {
    std::vector<Lock> after;
    Lock merged = lock;
    for (const Lock& held : file.locks) {
        const bool touches = held.owner == lock.owner && held.type == lock.type &&
                             (overlap(held, merged) || (held.end != UINT64_MAX && held.end + 1 == merged.start) ||
                              (merged.end != UINT64_MAX && merged.end + 1 == held.start));
        if (touches) {
            merged.start = std::min(merged.start, held.start);
            merged.end = std::max(merged.end, held.end);
        } else if (held.owner != lock.owner || !overlap(held, lock)) {
            after.push_back(held);
        } else {
            if (held.start < lock.start) after.push_back(held), after.back().end = lock.start - 1;
            if (held.end > lock.end) after.push_back(held), after.back().start = lock.end + 1;
        }
    }
    if (lock.type != Lock::Type::none) after.push_back(merged);
    std::ranges::sort(after, {}, &Lock::start);
    file.locks = std::move(after);
}

/// Wakes those who wait for the file; forgets it if nobody has or wants anything of it.
void LockTable::settle(NodeId node) {
    const auto file = files_.find(node);
    if (file == files_.end()) return;
    file->second.changed->pulse();
    if (file->second.locks.empty() && file->second.waiting == 0) files_.erase(file);
}

base::Task<base::Result<void>> LockTable::set(NodeId node, Lock lock, bool wait) {
    if (lock.type == Lock::Type::none) {
        const auto file = files_.find(node);
        if (file != files_.end()) apply(file->second, lock);
        settle(node);
        co_return base::ok();
    }
    while (conflict(node, lock)) {
        if (!wait) co_return posix(std::errc::resource_unavailable_try_again);
        if (deadlocks_ == Deadlocks::refused && would_deadlock(lock, node))
            co_return posix(std::errc::resource_deadlock_would_occur);
        if (waiters_.size() >= kMaxWaiters) co_return posix(std::errc::no_lock_available);
        auto& file = files_.at(node);
        const auto changed = file.changed;
        ++file.waiting;
        const auto waiter = waiters_.insert(waiters_.end(), Waiter{lock.owner, lock, node});
        std::exception_ptr cancelled;
        try {
            co_await changed->wait();
        } catch (...) {
            cancelled = std::current_exception();
        }
        waiters_.erase(waiter);
        auto& after = files_.at(node);
        --after.waiting;
        if (after.locks.empty() && after.waiting == 0) files_.erase(node);
        if (cancelled) std::rethrow_exception(cancelled);
    }
    auto& file = files_.try_emplace(node, executor_).first->second;
    if (file.locks.size() >= max_locks_) co_return posix(std::errc::no_lock_available);
    apply(file, lock);
    settle(node);  // a write lock that became a read lock lets others in
    co_return base::ok();
}

bool LockTable::release(NodeId node, std::uint64_t owner) {
    const auto file = files_.find(node);
    if (file == files_.end()) return false;
    if (std::erase_if(file->second.locks, [&](const Lock& held) { return held.owner == owner; }) == 0) return false;
    settle(node);
    return true;
}

}  // namespace fusefs
