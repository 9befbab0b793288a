// What other peers ask of us: Service::past.
#pragma once

#include <set>

#include "reclaim/lister.hpp"
#include "reclaim/reclaims.hpp"
#include "replication/batch.hpp"
#include "replication/holders.hpp"

namespace past {

class BlockCache;
class Diverter;
class DivertingStore;
class Registers;

class Server {
  public:
    Server(Context& context, Holders& holders, Reclaims& reclaims, Lister& lister, Registers& registers,
           DivertingStore& store, Diverter& diverter, BlockCache& cache)
        : context_{context},
          holders_{holders},
          reclaims_{reclaims},
          lister_{lister},
          registers_{registers},
          store_{store},
          diverter_{diverter},
          cache_{cache} {}

    base::Task<base::Result<base::Message>> answer(base::Peer from, base::Message message);

  private:
    base::Task<base::Result<base::Message>> between_holders(base::Peer from, base::Message message);
    base::Task<base::Result<base::Message>> store(base::Peer from, base::Message message);
    base::Task<base::Result<base::Message>> fetch(base::Peer from, base::Message message);
    base::Task<base::Result<base::Message>> touch(base::Message message);
    base::Task<base::Result<base::Message>> remove(base::Message message);
    base::Task<base::Result<base::Message>> list(base::Message message);
    base::Task<base::Result<base::Message>> holders(base::Message message);
    base::Task<base::Result<base::Message>> compare(base::Peer from, base::Message message);
    base::Task<base::Result<base::Message>> ranges(base::Message message);
    base::Task<base::Result<base::Message>> offer(base::Peer from, base::Message message);
    base::Task<base::Result<base::Message>> diverted(base::Peer from, base::Message message);
    [[nodiscard]] std::vector<Reclaim> some_of(std::vector<const Reclaim*> reclaims);
    base::Task<void> send_reclaims(base::Address to, std::vector<Reclaim> reclaims);

    Context& context_;
    Holders& holders_;
    Reclaims& reclaims_;
    Lister& lister_;
    Registers& registers_;
    DivertingStore& store_;
    Diverter& diverter_;
    BlockCache& cache_;
    std::size_t bytes_in_flight_ = 0;
    std::set<base::NodeId> sending_reclaims_;  ///< to these
};

/// Exclusive or of the first half of SHA-256(id) over the ids of each range; the range is the last byte of the id,
/// because the blocks of a group share their first bits.
[[nodiscard]] RangesReply range_digests(const BlockStore& store, const base::Guid& group);

}  // namespace past
