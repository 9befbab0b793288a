// Storage through the daemon's Unix socket: the same calls, one machine, two processes.
#pragma once

#include "base/env.hpp"
#include "past/messages.hpp"
#include "past/storage.hpp"

namespace past {

class Node;

/// What a command uses while a daemon runs. `transport` dials `daemon` over Service::local and outlives this.
class LocalClient final : public Storage {
  public:
    LocalClient(base::Transport& transport, base::Clock& clock, base::Address daemon);

    base::Task<base::Result<PutOutcome>> put(base::Guid group, Tag tag, std::vector<Block> blocks, Wait wait,
                                             base::TimePoint deadline) override;
    /// Hashed on this side too: the answer crossed a process.
    base::Task<base::Result<base::SharedBytes>> get(base::Guid group, base::Guid id, base::TimePoint deadline) override;
    base::Task<base::Result<std::vector<bool>>> touch(base::Guid group, Tag tag, std::vector<base::Guid> ids,
                                                      base::TimePoint deadline) override;
    base::Task<base::Result<void>> remove(Reclaim reclaim, base::TimePoint deadline) override;
    base::Task<base::Result<TaggedBlocks>> list(BlockQuery query, base::Guid after, base::TimePoint deadline) override;
    base::Task<base::Result<std::optional<Record>>> read_record(base::Guid key, base::TimePoint deadline) override;
    base::Task<base::Result<ShownRecord>> read_any_record(base::Guid key, base::TimePoint deadline) override;
    base::Task<base::Result<void>> write_record(base::Guid key, std::uint64_t expected, Record next,
                                                base::TimePoint deadline) override;
    base::Task<base::Result<void>> restore_record(base::Guid key, Record lost, base::TimePoint deadline) override;
    base::Task<base::Result<std::vector<Holder>>> holders(base::Guid group, base::TimePoint deadline);

  private:
    base::Task<base::Result<base::Message>> call(LocalVerb verb, base::Bytes header, base::SharedBytes payload,
                                                 base::TimePoint deadline);
    [[nodiscard]] std::uint64_t milliseconds_until(base::TimePoint deadline) const;

    base::Transport& transport_;
    base::Clock& clock_;
    base::Address daemon_;
};

/// The daemon's side. The daemon serves Service::local itself and hands over the verbs that owns() names.
class LocalServer {
  public:
    using FindHolders =
        std::function<base::Task<base::Result<std::vector<Holder>>>(base::Guid group, base::TimePoint deadline)>;

    /// `storage` outlives every handle() under way. Without `find_holders` that verb is answered with unsupported.
    LocalServer(base::NodeEnv env, Storage& storage, FindHolders find_holders = {});

    [[nodiscard]] static bool owns(std::uint8_t verb);
    /// Requires: owns(message.verb()).
    base::Task<base::Result<base::Message>> handle(base::Message message);

  private:
    base::Task<base::Result<base::Message>> put(base::Message message);
    [[nodiscard]] base::TimePoint deadline(std::uint64_t milliseconds) const;

    base::NodeEnv env_;
    Storage& storage_;
    FindHolders find_holders_;
};

}  // namespace past
