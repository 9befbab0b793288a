// Locks of byte ranges (fcntl) and of whole files (flock) between the processes of one mount.
//
// On the node's executor.
#pragma once

#include <list>
#include <map>
#include <memory>
#include <unordered_map>
#include <vector>

#include "base/result.hpp"
#include "base/task.hpp"
#include "base/task_group.hpp"
#include "fuse/types.hpp"

namespace fusefs {

class LockTable {
  public:
    enum class Deadlocks : std::uint8_t { refused, not_looked_for };
    static constexpr std::size_t kMaxWaiters = 512;  ///< of all files; beyond: no_lock_available
    LockTable(base::Executor executor, std::size_t max_locks_per_file, Deadlocks deadlocks);

    /// The first lock of another owner that excludes `lock`.
    [[nodiscard]] std::optional<Lock> conflict(NodeId node, const Lock& lock) const;
    /// Takes, changes or (type none) gives back. `wait`: until nothing is in the way; cancelled, nothing has changed.
    /// Errors: resource_unavailable_try_again, resource_deadlock_would_occur, no_lock_available.
    base::Task<base::Result<void>> set(NodeId node, Lock lock, bool wait);
    /// Everything that `owner` has of the file. False if that was nothing.
    bool release(NodeId node, std::uint64_t owner);
    /// What `owner` has of the whole file (flock): its type, or none.
    [[nodiscard]] Lock::Type held(NodeId node, std::uint64_t owner) const;
    [[nodiscard]] bool locked(NodeId node) const { return files_.contains(node); }

  private:
    struct Waiter {
        std::uint64_t owner = 0;
        Lock wanted;
        NodeId node = 0;
    };
    struct File {
        explicit File(base::Executor executor) : changed{std::make_shared<base::Event>(std::move(executor))} {}
        std::vector<Lock> locks;  // of one owner none overlap; sorted by start
        std::shared_ptr<base::Event> changed;
        std::size_t waiting = 0;
    };

    [[nodiscard]] bool would_deadlock(const Lock& wanted, NodeId node) const;
    void apply(File& file, const Lock& lock);
    void settle(NodeId node);

    base::Executor executor_;
    std::size_t max_locks_;
    Deadlocks deadlocks_;
    std::unordered_map<NodeId, File> files_;
    std::list<Waiter> waiters_;
};

}  // namespace fusefs
