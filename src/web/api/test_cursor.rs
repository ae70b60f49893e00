//! Where lists of tests go on; the API and the pages go on alike.
use crate::model::{JobId, PipelineId};
use crate::store::test_history::{self, TestCaseRow, Which};
use crate::store::test_reports::{After, TestResultRow};
use crate::web::cursor::{Cursors, Numbers};
use crate::web::error::Answer;

/// The cursors of a job's results.
pub(in crate::web) struct Results(Cursors);

impl Results {
    /// Those of the results in these places.
    pub(in crate::web) fn of(job: JobId, places: &[u32]) -> Self {
        Self(Cursors::of("results", &(job, places)))
    }

    /// The place of a cursor; none: from the start.
    pub(in crate::web) fn read(&self, cursor: Option<&str>) -> Answer<Option<After>> {
        let place = self.0.read::<Numbers<3>>(cursor)?;
        Ok(place.map(|Numbers([place, report, case])| After { place: u32::try_from(place).unwrap_or(0), report, case }))
    }

    /// The cursor behind a row.
    pub(in crate::web) fn behind(&self, row: &TestResultRow) -> String {
        self.0.write(&Numbers([i64::from(row.place), row.report_id, row.case_id]))
    }
}

/// The cursors of a pipeline's tests.
pub(in crate::web) struct Cases {
    cursors: Cursors,
    which: Which,
}

impl Cases {
    /// Those of this choice.
    pub(in crate::web) fn of(pipeline: PipelineId, which: Which) -> Self {
        Self { cursors: Cursors::of("cases", &(pipeline, which.as_str())), which }
    }

    /// The place of a cursor; none: from the start.
    pub(in crate::web) fn read(&self, cursor: Option<&str>) -> Answer<Option<test_history::After>> {
        let place = self.cursors.read::<Numbers<2>>(cursor)?;
        Ok(place.map(|Numbers([mark, case])| test_history::After { mark, case }))
    }

    /// The cursor behind a row.
    pub(in crate::web) fn behind(&self, row: &TestCaseRow) -> String {
        let after = test_history::After::row(self.which, row);
        self.cursors.write(&Numbers([after.mark, after.case]))
    }
}
