// Which files of a snapshot a new one made of it has: all but those that are excluded, and those of which something is
// lost, be it content or a part of the tree.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_set>
#include <vector>

#include "objstore/archive/patterns.hpp"
#include "objstore/archive/rewrite.hpp"
#include "objstore/archive/snapshot_reader.hpp"
#include "objstore/snapshot.hpp"
#include "objstore/volume.hpp"

namespace objstore::archive {

class KeptFiles {
  public:
    using OnLeftOut = std::function<void(const std::string& path, LeftOut why)>;

    /// `lost`: blocks that cannot be had; it and the volume outlive this.
    KeptFiles(Volume& volume, const Snapshot& snapshot, Patterns excludes, const std::set<base::Guid>& lost,
              OnLeftOut on_left_out);

    /// Walks the snapshot, and tells of what is left out. If losses are not `expected`, a damaged tree is an error.
    /// Before anything else here.
    base::Task<base::Result<void>> find(bool losses_expected);

    /// An item of the old tree that the new one has, too. Not so what made() replaces.
    [[nodiscard]] bool is_kept(const Item& item) const;
    /// Of directories that lost theirs: all but their entries is this.
    [[nodiscard]] const std::map<InodeNumber, Inode>& made() const { return made_; }
    /// What is left of a tree that lost nodes, instead of the tree.
    [[nodiscard]] const std::optional<Salvage>& salvage() const { return salvage_; }
    [[nodiscard]] std::uint64_t left_out() const { return left_out_; }
    /// Sets the counts of files, directories and bytes.
    void count(Snapshot& snapshot) const;

  private:
    struct Pending {
        std::string path;
        InodeNumber number = 0;
    };
    base::Task<base::Result<void>> walk_directory(Pending directory);
    base::Task<base::Result<std::vector<Item>>> entries_of(const Pending& directory);
    base::Task<base::Result<std::vector<std::optional<Node>>>> nodes_of(std::vector<InodeNumber> numbers);
    base::Task<base::Result<void>> look_for_losses();
    void take(const std::string& above, const Item& item, std::optional<Node> node);
    void take_directory(std::string path, const Entry& entry, const std::optional<Node>& node);
    void make_up_unless_known(const std::string& path, const Entry& entry, const std::optional<Node>& node);
    void leave_out(const std::string& path, LeftOut why);
    [[nodiscard]] bool lost_content(const Node& node) const;

    Patterns excludes_;
    const std::set<base::Guid>& lost_;
    OnLeftOut on_left_out_;
    Tree tree_;
    SnapshotReader reader_;
    std::optional<Salvage> salvage_;
    std::vector<Pending> stack_;
    std::unordered_set<InodeNumber> kept_{kRootInode};
    std::set<TreeKey> dropped_;  // entries
    std::map<InodeNumber, Inode> made_;
    std::uint64_t files_ = 0, directories_ = 0, bytes_ = 0, left_out_ = 0;
};

}  // namespace objstore::archive
