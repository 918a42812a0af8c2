//! Charts as SVG, drawn by `plotters`. They carry no text of a campaign, only numbers; the page's style colours them.

use plotters::prelude::*;

/// The colour curves are drawn in; the page's style puts its own in its place.
const CURVE: RGBColor = RGBColor(0x44, 0x77, 0xaa);

/// A curve over the time of a campaign. Nothing if there are not two points.
pub fn curve(x_name: &str, y_name: &str, points: &[(f64, f64)]) -> Option<String> {
    let points: Vec<(f64, f64)> =
        points.iter().copied().filter(|(x, y)| x.is_finite() && y.is_finite()).collect();
    let (first, last) = (points.first()?, points.last()?);
    if points.len() < 2 || last.0 <= first.0 {
        return None;
    }
    let top = points.iter().map(|p| p.1).fold(1.0, f64::max) * 1.05;
    let mut svg = String::new();
    draw(&mut svg, (x_name, y_name), (first.0.min(0.0), last.0), top, &points).ok()?;
    Some(svg)
}

type Drawn = Result<(), Box<dyn std::error::Error>>;

fn draw(
    svg: &mut String,
    (x_name, y_name): (&str, &str),
    (from, to): (f64, f64),
    top: f64,
    points: &[(f64, f64)],
) -> Drawn {
    let area = SVGBackend::with_string(svg, (640, 240)).into_drawing_area();
    let mut chart = ChartBuilder::on(&area)
        .margin(10)
        .x_label_area_size(36)
        .y_label_area_size(64)
        .build_cartesian_2d(from..to, 0.0..top)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .x_desc(x_name)
        .y_desc(y_name)
        .x_labels(8)
        .y_labels(5)
        .x_label_formatter(&|x| format!("{x:.0}"))
        .y_label_formatter(&|y| if top < 5.0 { format!("{y:.1}") } else { format!("{y:.0}") })
        .draw()?;
    chart.draw_series(LineSeries::new(points.iter().copied(), CURVE.stroke_width(2)))?;
    area.present()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_is_drawn_from_two_points_on_and_holds_no_style_that_a_strict_page_forbids() {
        assert!(curve("s", "n", &[]).is_none());
        assert!(curve("s", "n", &[(1.0, 2.0)]).is_none());
        assert!(curve("s", "n", &[(1.0, 2.0), (1.0, 3.0)]).is_none());
        assert!(curve("s", "n", &[(f64::NAN, 2.0), (1.0, f64::INFINITY)]).is_none());
        let svg = curve("seconds", "cases", &[(0.0, 0.0), (60.0, 7.0)]).expect("drawn");
        assert!(svg.starts_with("<svg") && svg.contains("#4477AA"), "{svg}");
        assert!(!svg.contains("style=") && !svg.contains("<style") && !svg.contains("<script"), "{svg}");
    }
}
