//! A picture of a sweep: how long answers take, and how many there are, by how much arrives.

use std::error::Error;
use std::ops::Range;
use std::path::Path;

use plotters::coord::{CoordTranslate, Shift};
use plotters::prelude::*;

use crate::figures::Latency;
use crate::step::Step;

/// The file.
const FILE: &str = "load.svg";
const SIZE: (u32, u32) = (960, 960);
const FONT: &str = "sans-serif";
const TITLE: i32 = 22;
const TEXT: i32 = 15;
/// The radius of what was measured.
const DOT: u32 = 3;
/// Room between the frame and what lies next to it, and for what is written along the axes.
const MARGIN: u32 = 16;
const ALONG_X: u32 = 48;
const ALONG_Y: u32 = 72;
/// How much of an axis is left free beyond the largest value; of a logarithmic one.
const HEADROOM: f64 = 1.05;
const LOG_HEADROOM: f64 = 2.0;

/// A curve: its name, its colour, and what it shows of the latencies.
type Curve = (&'static str, RGBColor, fn(&Latency) -> f64);

const CURVES: [Curve; 3] = [
    ("p50", RGBColor(31, 119, 180), |latency| latency.p50_ms),
    ("p99", RGBColor(255, 127, 14), |latency| latency.p99_ms),
    ("p99.9", RGBColor(214, 39, 40), |latency| latency.p999_ms),
];
const ANSWERED: RGBColor = RGBColor(44, 160, 44);

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Draws the open steps; `peak` is what closed steps reached at most, 0 if there was none.
pub fn draw(open: &[Step], peak: f64, out: &Path) {
    let mut steps: Vec<(f64, &Step)> = open.iter().filter_map(|step| Some((step.offered?, step))).collect();
    steps.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    if let Some((most, _)) = steps.last() {
        let offered = 0.0..most * HEADROOM;
        draw_both(&steps, offered, peak, &out.join(FILE)).expect("the picture can be drawn");
    }
}

fn draw_both(steps: &[(f64, &Step)], offered: Range<f64>, peak: f64, file: &Path) -> Result<(), Box<dyn Error>> {
    let whole = SVGBackend::new(file, SIZE).into_drawing_area();
    whole.fill(&WHITE)?;
    let (above, below) = whole.split_vertically(SIZE.1 / 2);
    latencies(&above, steps, offered.clone())?;
    answers(&below, steps, offered, peak)?;
    whole.present()?;
    Ok(())
}

fn latencies(area: &Area, steps: &[(f64, &Step)], offered: Range<f64>) -> Result<(), Box<dyn Error>> {
    let all = || steps.iter().flat_map(|(_, step)| CURVES.map(|(_, _, of)| of(&step.latency))).filter(|ms| *ms > 0.0);
    // A whole power of ten, so that the grid is one that people can read.
    let lowest = 10_f64.powf(all().fold(1.0, f64::min).log10().floor());
    let highest = all().fold(1.0, f64::max) * LOG_HEADROOM;
    let mut chart = ChartBuilder::on(area)
        .caption("Latency of what was answered, from the intended start", (FONT, TITLE))
        .margin(MARGIN)
        .x_label_area_size(ALONG_X)
        .y_label_area_size(ALONG_Y)
        .build_cartesian_2d(offered, (lowest..highest).log_scale())?;
    chart
        .configure_mesh()
        .max_light_lines(0)
        .x_desc("offered, requests a second")
        .y_desc("milliseconds, logarithmic")
        .axis_desc_style((FONT, TEXT))
        .label_style((FONT, TEXT))
        .x_label_formatter(&|rate| format!("{rate:.0}"))
        .y_label_formatter(&|ms| format!("{ms}"))
        .draw()?;
    for (name, colour, of) in CURVES {
        let points: Vec<(f64, f64)> = steps.iter().map(|(rate, step)| (*rate, of(&step.latency).max(lowest))).collect();
        chart
            .draw_series(LineSeries::new(points, colour.filled().stroke_width(2)).point_size(DOT))?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
    }
    legend(&mut chart, SeriesLabelPosition::UpperLeft)
}

fn answers(area: &Area, steps: &[(f64, &Step)], offered: Range<f64>, peak: f64) -> Result<(), Box<dyn Error>> {
    let highest = offered.end;
    let mut chart = ChartBuilder::on(area)
        .caption("How much was answered of what was offered", (FONT, TITLE))
        .margin(MARGIN)
        .x_label_area_size(ALONG_X)
        .y_label_area_size(ALONG_Y)
        .build_cartesian_2d(offered.clone(), offered)?;
    chart
        .configure_mesh()
        .max_light_lines(0)
        .x_desc("offered, requests a second")
        .y_desc("answered a second")
        .axis_desc_style((FONT, TEXT))
        .label_style((FONT, TEXT))
        .x_label_formatter(&|rate| format!("{rate:.0}"))
        .y_label_formatter(&|rate| format!("{rate:.0}"))
        .draw()?;
    let mut line = |name: &str, points: Vec<(f64, f64)>, style: ShapeStyle, dot| -> Result<(), Box<dyn Error>> {
        chart
            .draw_series(LineSeries::new(points, style).point_size(dot))?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
        Ok(())
    };
    line("as much as is offered", vec![(0.0, 0.0), (highest, highest)], BLACK.mix(0.5).into(), 0)?;
    if peak > 0.0 {
        line("the most of the closed loop", vec![(0.0, peak), (highest, peak)], BLUE.mix(0.5).into(), 0)?;
    }
    let points = steps.iter().map(|(rate, step)| (*rate, step.answered_per_second)).collect();
    line("answered", points, ANSWERED.filled().stroke_width(2), DOT)?;
    legend(&mut chart, SeriesLabelPosition::LowerRight)
}

fn legend<'a, C: CoordTranslate>(
    chart: &mut ChartContext<'a, SVGBackend<'a>, C>,
    place: SeriesLabelPosition,
) -> Result<(), Box<dyn Error>> {
    chart
        .configure_series_labels()
        .position(place)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.4))
        .label_font((FONT, TEXT))
        .draw()?;
    Ok(())
}
