// The state of one snapshot's copy: compare -> collect what is needed -> read and place it -> write the tree -> list
// it.
#pragma once

#include <memory>
#include <optional>
#include <set>
#include <span>
#include <utility>
#include <vector>

#include "copy_pieces.hpp"
#include "kept_files.hpp"
#include "objstore/archive/copy.hpp"
#include "objstore/archive/dedup_cache.hpp"
#include "objstore/archive/dedup_index.hpp"

namespace objstore::archive {

/// What stays from one snapshot to the next.
struct Copier::State {
    base::NodeEnv env;
    Volume& from;
    Volume& to;
    CopyOptions options;
    ProgressFunction progress;

    std::optional<std::vector<Snapshot>> snapshots;  // of `from`
    CopyPieces pieces;
    DedupIndex index;  // of `to`
    bool index_loaded = false;
    std::unique_ptr<DedupCache> cache;
    std::set<base::Guid> lost;   // blocks of `from`
    std::set<base::Guid> sound;  // snapshots of `to` that were made here, or made sure of
};

class CopyRun {
  public:
    CopyRun(Copier::State& state, const Snapshot& snapshot) : state_{state}, snapshot_{snapshot} {}

    base::Task<base::Result<CopyReport>> run();

  private:
    struct Base {  // a snapshot that was copied before, and its copy
        Tree before;
        Tree copy;
        base::Guid id;  // of the copy
    };

    base::Task<base::Result<void>> body();
    base::Task<base::Result<void>> open_index();
    base::Task<base::Result<void>> choose_base();
    base::Task<base::Result<bool>> is_sound(Tree copy);
    base::Task<base::Result<void>> compare();
    base::Task<base::Result<void>> leave_out_losses();
    void rewind();
    base::Task<base::Result<std::span<const Item>>> next_items();
    base::Task<base::Result<bool>> collect();
    [[nodiscard]] bool is_here(const CopyPiece& piece) const;
    base::Task<base::Result<std::vector<std::uint32_t>>> choose_blocks();
    base::Task<base::Result<void>> read_all();
    base::Task<base::Result<void>> place(CopyBlock& block, std::shared_ptr<const OpenedBlock> opened);
    base::Task<base::Result<BlockRefPtr>> write_tree();
    base::Task<base::Result<void>> put(TreeUpdate& update, Item item);
    base::Task<base::Result<void>> put_names(TreeUpdate& update);
    base::Task<base::Result<void>> put_made(TreeUpdate& update, InodeNumber up_to);
    base::Result<void> follow(Extent& extent) const;
    base::Task<base::Result<void>> commit(BlockRefPtr root);
    void tell();

    Copier::State& state_;
    const Snapshot& snapshot_;
    std::unique_ptr<Session> session_;  // of the new volume
    std::unique_ptr<Packer> packer_;
    std::optional<Base> base_;
    std::unique_ptr<KeptFiles> kept_;  // once something was found to be lost
    std::vector<std::pair<std::string, LeftOut>> left_out_;

    // What is to be put, in the order of the old tree: changed_ with a base, else all of it.
    std::vector<Item> changed_;
    std::vector<std::pair<TreeKey, TreeKey>> erased_;
    std::optional<TreeCursor> cursor_;
    bool at_end_ = false;

    // While the tree is written.
    std::size_t next_erased_ = 0;
    std::map<InodeNumber, Inode>::const_iterator next_made_;
    std::vector<Item> names_;  // entries or attributes of one inode: other keys order them

    Progress shown_;
    CopyReport report_;
};

}  // namespace objstore::archive
