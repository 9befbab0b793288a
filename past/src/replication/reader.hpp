// get: the nearest holder first, a second one before the first is late, and never wrong bytes.
#pragma once

#include <variant>

#include "cache/block_cache.hpp"
#include "repair/misplaced.hpp"
#include "replication/gather.hpp"
#include "replication/holders.hpp"

namespace past {

class Reader {
  public:
    Reader(Context& context, Holders& holders, MisplacedCopies& misplaced, BlockCache& cache)
        : context_{context}, holders_{holders}, misplaced_{misplaced}, cache_{cache}, idle_{context.env.executor} {
        idle_.set();
    }

    base::Task<base::Result<base::SharedBytes>> get(base::Guid group, base::Guid id, base::TimePoint deadline);

    /// Resumes once nothing that a get asked for is under way: an answer that nobody waits for any more ends later.
    base::Task<void> ended() { return idle_.wait(); }

  private:
    using Answer = base::Result<base::SharedBytes>;
    struct Attempt;
    struct Search;
    base::Task<std::optional<base::SharedBytes>> read_here(std::shared_ptr<Search> search, base::TimePoint deadline);
    void line_up(Search& search, const HolderSet& set);
    [[nodiscard]] base::Duration takes(const MisplacedCopies::CopyHolder& copy_holder) const;
    void ask_next(Search& search, base::TimePoint deadline);
    std::variant<bool, base::SharedBytes> look(Search& search);
    void note_failure(Search& search, const Attempt& ask, const base::Error& error);
    void note_times(const Search& search, const Attempt& answered);
    base::Task<Answer> run(std::shared_ptr<Search> search, base::TimePoint deadline);
    base::Task<Answer> counted(base::Task<Answer> attempt);
    base::Task<Answer> fetch(base::Address holder, base::Guid group, base::Guid id, base::TimePoint deadline);

    Context& context_;
    Holders& holders_;
    MisplacedCopies& misplaced_;
    BlockCache& cache_;
    std::size_t under_way_ = 0;
    base::Event idle_;
};

}  // namespace past
