// Decentralised object location and routing: objects are found where they are, nearest copy first.
//
// Interface: Coulouris Figure 10.5; Dabek et al. (IPTPS 2003), section 2.2. Implemented by tapestry::Node. On the
// node's executor.
#pragma once

#include <functional>
#include <vector>

#include "base/bytes.hpp"
#include "base/clock.hpp"
#include "base/guid.hpp"
#include "base/result.hpp"
#include "base/task.hpp"
#include "base/transport.hpp"

namespace tapestry {

/// A live publisher of an object, as a node on the way to its root knows it.
struct Location {
    base::Address holder;
    base::Duration delay{};  ///< one way: half of what the asker measured, else an estimate over who knew it
    bool measured = false;
};

struct Located {
    std::vector<Location> holders;   ///< nearest to the asker first; distinct; never empty
    std::vector<base::Address> way;  ///< nodes that the question crossed, the one with the pointer last; if traced
    unsigned root = 0;               ///< on the way to which root of the object
};

class Dolr {
  public:
    virtual ~Dolr() = default;

    /// This node holds these objects from now on, and says so again and again until unpublish(). Duplicates are fine.
    virtual void publish(const std::vector<base::Guid>& objects) = 0;
    /// Takes that back, and says so again for a lease. Also what was taken back already; nothing else.
    virtual void unpublish(const std::vector<base::Guid>& objects) = 0;
    /// Resumes when every root of these objects has what was last said of them, by publish() or unpublish(): from then
    /// on all others find them (of very many holders some), or do not. Those for which a root had not confirmed it by
    /// the deadline, sorted; of these nothing is known but that they are said again with each republish. Nothing if
    /// nobody needs to be told.
    virtual base::Task<std::vector<base::Guid>> published(std::vector<base::Guid> objects,
                                                          base::TimePoint deadline) = 0;

    /// Some holders; ourselves alone if we are one. Errors: not_published, roots_unreachable.
    virtual base::Task<base::Result<Located>> locate(base::Guid object, base::TimePoint deadline,
                                                     bool trace = false) = 0;
    /// Some holders but ourselves and `failed` (at most 32), which the asker tried: they did not answer, or do not have
    /// it. Who has pointers to them looks for himself, and drops those that lead nowhere. Errors: the same;
    /// not_published if nobody else publishes it.
    virtual base::Task<base::Result<Located>> locate_others(base::Guid object, std::vector<base::NodeId> failed,
                                                            base::TimePoint deadline) = 0;
    /// Some holders but ourselves and `known` (at most 32 count); none if those that would know name no more. Errors:
    /// roots_unreachable.
    virtual base::Task<base::Result<std::vector<Location>>> other_holders(base::Guid object,
                                                                          std::vector<base::NodeId> known,
                                                                          base::TimePoint deadline) = 0;
    /// To the nearest holder, or to `replicas` (1 to 16) distinct ones; how many took it, at least 1. After an error
    /// but not_published it is unknown whether somebody did. Errors: the same, and base::Errc::bad_argument above
    /// kMaxPayloadBytes.
    virtual base::Task<base::Result<unsigned>> send_to_object(base::Guid object, base::SharedBytes message,
                                                              unsigned replicas, base::TimePoint deadline) = 0;

    /// What comes for objects that we published; the same message of the same asker once. `asker` has an endpoint only
    /// if it is a member; if KBR does not know it, it is what the asker said. False: we do not have the object (any
    /// more); then it is withdrawn.
    using OnMessage =
        std::function<base::Task<bool>(base::Guid object, base::Address asker, base::SharedBytes message)>;
    virtual void on_message(OnMessage handler) = 0;
};

}  // namespace tapestry
