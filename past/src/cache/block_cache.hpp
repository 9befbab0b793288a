// Blocks that passed by, kept in space that nobody uses: read again from here, and found by neighbours.
//
// Paper: Rowstron & Druschel, SOSP 2001, section 4 (GreedyDual-Size). A file a block, cache/<id>.<group>, never
// synced: what a crash leaves of it is hashed before it is believed. Losing all of it loses nothing. On the node's
// executor.
#pragma once

#include <optional>
#include <set>

#include "cache/greedy_dual_size.hpp"
#include "context.hpp"

namespace past {

class BlockCache {
  public:
    explicit BlockCache(Context& context) : context_{context} {}

    /// Finds what an earlier run left, in the background.
    base::Task<void> load();
    /// Hashed. Nullopt if it is not here (any more).
    base::Task<std::optional<base::SharedBytes>> get(base::Guid id);
    /// Takes a block that was just fetched and verified, if it is worth its room and the disk keeps up.
    void offer(base::Guid group, base::Guid id, base::SharedBytes bytes);
    void drop(const base::Guid& id);
    /// Never more than this; what is too much goes at once.
    void fit(std::uint64_t limit_bytes);

    [[nodiscard]] bool has(const base::Guid& id) const { return groups_of_.contains(id); }
    void add_groups(std::set<base::Guid>& groups) const;
    [[nodiscard]] std::size_t blocks() const { return groups_of_.size(); }
    [[nodiscard]] std::uint64_t bytes() const { return policy_.bytes(); }

  private:
    base::Task<void> write(base::Guid group, base::Guid id, base::SharedBytes bytes);
    base::Task<void> remove_files(std::vector<std::string> paths);
    void forget(const std::vector<base::Guid>& evicted);

    Context& context_;
    /// A file takes whole pages of the disk, and 400 bytes of memory whatever its size.
    GreedyDualSize policy_{0, {.unit_bytes = 4096}};
    std::map<base::Guid, base::Guid> groups_of_;
    std::map<base::Guid, std::size_t> blocks_of_;  // by group
    std::map<base::Guid, base::SharedBytes> being_written_;
    std::size_t writing_bytes_ = 0;  ///< from the offer on
};

}  // namespace past
