// Who decides the order of a live tree's updates. Today it is the compare-and-set of the volume's record under the
// owner's key; whatever comes in its place (an agreement of several peers) stands behind this interface, and nothing
// above it changes.
//
// Contract: tests/contract/update_order_contract.hpp.
#pragma once

#include <memory>

#include "objstore/live/update.hpp"
#include "objstore/volume.hpp"

namespace objstore {

/// A version of the live tree, as the volume's forest holds it (docs/formats/volume.md, "Live record").
struct LiveVersion {
    std::uint64_t sequence = 0;  ///< of the volume's state that was read
    BlockRefPtr root;            ///< null: the volume has no live tree
    LiveCounts counts;
    std::uint32_t next_slot = 1;  ///< of inode numbers
    std::int64_t time_ns = 0;     ///< of its commit
    std::uint64_t named_in = 0;   ///< the newest state of the volume that is known to name the root
};

struct Ordered {
    LiveVersion version;              ///< the one that the update made
    std::vector<Conflict> conflicts;  ///< what could not stay as it was made
    BlockRefPtr rebased_on;           ///< the version before it; update.base if nobody came in between
};

class UpdateOrder {
  public:
    virtual ~UpdateOrder() = default;

    /// The newest version that the holders show. Errors: as Volume::refresh().
    virtual base::Task<base::Result<LiveVersion>> newest() = 0;
    /// Makes the live tree if there is none: an empty one with this root directory. Returns the newest.
    virtual base::Task<base::Result<LiveVersion>> found(Inode root) = 0;
    /// Gives the caller a slot of inode numbers that nobody else has or had.
    virtual base::Task<base::Result<std::uint32_t>> take_slot() = 0;
    /// Orders the update. Every block that it names is stored, or on its way through `content` (may be null), which is
    /// flushed first. Where its base is not the newest version it is rebased,
    /// if `may_rebase`, else Errc::conflict and nothing has happened. When it returns the update is durable and
    /// ordered before every later one. After an error it was not, unless in_doubt().
    virtual base::Task<base::Result<Ordered>> submit(std::shared_ptr<const Update> update,
                                                     std::shared_ptr<BlockWriter> content, bool may_rebase,
                                                     InodeNumbers& kept_numbers) = 0;
    /// The last submit() failed, and the update may have been ordered all the same. The same update, submitted again to
    /// this object, is not ordered twice; no other may be submitted before.
    [[nodiscard]] virtual bool in_doubt() const = 0;
};

/// By compare-and-set of the volume's record. `nodes` caches decoded nodes. All outlive it.
[[nodiscard]] std::unique_ptr<UpdateOrder> make_record_order(base::NodeEnv env, Volume& volume,
                                                             std::shared_ptr<NodeCache> nodes);

}  // namespace objstore
