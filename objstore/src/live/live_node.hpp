// One inode in a mount's memory: as it is now, and what of that the base version does not have yet. A plain value.
#pragma once

#include <list>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "live/content.hpp"
#include "objstore/live/update.hpp"

namespace objstore {

/// Ordered as a directory is listed: by the hash of the name.
using NameKey = std::pair<std::uint64_t, std::string>;

struct LiveName {
    std::optional<EntryTarget> before;  ///< in the base
    std::optional<EntryTarget> after;
    bool exclusive = false;
    std::uint64_t since = 0;       ///< generation of the first change that the base does not have
    std::uint64_t generation = 0;  ///< of the last
};

/// A version, and the newest state of the volume that is known to name it.
struct NamedTree {
    Tree tree;
    std::uint64_t named_in = 0;
};

struct LiveXattr {
    std::optional<base::Bytes> value;  ///< nullopt: removed
    std::uint64_t generation = 0;
};

/// What changes take in memory, about: with what an allocator adds, without what a commit under way has of them.
struct LiveMemory {
    std::size_t all = 0;
    std::size_t content = 0;           ///< of it, bytes that were written and are not stored yet
    std::size_t nameless = 0;          ///< of inodes that somebody holds and nobody names any more: no commit frees it
    std::size_t nameless_buffers = 0;  ///< of it, what storing their content frees

    LiveMemory& operator+=(const LiveMemory& more);
    LiveMemory& operator-=(const LiveMemory& less);
};

/// Names and extended attributes are changed by functions, which keep count of them.
struct LiveNode {
    InodeNumber number = 0;
    Inode now;
    std::optional<Inode> base;                ///< as the base has it; nullopt: it does not
    bool gone = false;                        ///< nobody names it any more
    bool damaged = false;                     ///< an entry names it, and the version has no such inode
    std::uint64_t made = 0;                   ///< generation; 0: it came from a version
    std::uint64_t changed = 0;                ///< generation of the last change that the base does not have; 0: none
    bool only_read = false;                   ///< `changed`, and it is no more than its atime
    std::map<NameKey, LiveName> names;        ///< of a directory: what differs from the base
    std::map<std::string, LiveXattr> xattrs;  ///< likewise
    Content content;                          ///< likewise
    std::optional<base::Bytes> symlink;       ///< of one that is not in the base
    std::optional<NamedTree> last;            ///< the version that had it last, once it is gone from the base
    std::optional<std::pair<InodeNumber, std::string>> known_as;
    std::uint64_t read_end = 0;  ///< where the last read ended: who goes on there reads on
    std::list<InodeNumber>::iterator in_recent;
    LiveMemory counted;  ///< memory() as it was when it was last added up

    /// Of what the base does not have. `held`: somebody holds it.
    [[nodiscard]] LiveMemory memory(bool held) const;
    /// The change of a name, made if there is none; and whether it was.
    std::pair<std::map<NameKey, LiveName>::iterator, bool> name(NameKey key);
    void forget(std::map<NameKey, LiveName>::iterator name);
    /// The base does not have it any more; `before`: the version before it.
    void leave_base(const NamedTree& before);
    void set_xattr(std::string name, LiveXattr xattr);
    /// Names and extended attributes that were last changed up to then.
    void forget(std::uint64_t generation);

    [[nodiscard]] bool directory() const { return now.type == base::FileType::directory; }
    [[nodiscard]] bool regular() const { return now.type == base::FileType::regular; }

  private:
    std::size_t text_bytes_ = 0;  ///< of names and extended attributes
};

}  // namespace objstore
